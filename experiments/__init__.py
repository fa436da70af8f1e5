"""Entry points, and the pipeline that they share."""

import os

# TensorFlow reads this once, when it is imported; what it logs below warnings
# would hide the one line that tells a user what is wrong.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
