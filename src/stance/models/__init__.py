"""Models: what a model is, how it is saved and loaded, and the kinds of models there are."""
