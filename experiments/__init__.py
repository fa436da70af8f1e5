"""Entry points, and the pipeline that they share."""

from taskonomy_models import quiet

quiet.quieten_tensorflow()
