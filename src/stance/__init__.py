"""Stance toward lifting an arms embargo, sentence by sentence.

>>> from stance import predict
>>> predict("Egypt asked the Security Council to lift the arms embargo on Libya.").label
'for'
"""

from stance.prediction import load, predict
from stance.schema import LABELS, Prediction

__all__ = ["LABELS", "Prediction", "load", "predict"]
__version__ = "0.1.0"
