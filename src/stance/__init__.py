"""Stance toward lifting an arms embargo, by sentence, and who stands where, by article.

>>> from stance import predict
>>> predict("Egypt asked the Security Council to lift the arms embargo on Libya.").label
'for'
"""

from stance.analysis import ArticleStance, analyze
from stance.prediction import load, predict
from stance.schema import LABELS, Prediction

__all__ = ["LABELS", "ArticleStance", "Prediction", "analyze", "load", "predict"]
__version__ = "0.1.0"
