"""Entry points, and the pipeline that they share."""

from experiments import quiet

quiet.quieten_tensorflow()
