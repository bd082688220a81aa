"""Labelled data: the corpus, the articles' stand-off labels, a user's own files, splits, audits."""
