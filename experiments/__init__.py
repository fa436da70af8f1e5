"""Entry points, and the pipeline that they share."""

from toolkit_basics import quiet

quiet.quieten_tensorflow()
