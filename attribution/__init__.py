"""How an attribution map is computed from a frozen graph."""

from toolkit_basics import quiet

quiet.quieten_tensorflow()
