"""Our own models and the scripts that train them; `tinyops` itself imports nothing from here."""

import os

# Before TensorFlow is imported: results that depend on the processor's instruction set are off.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
