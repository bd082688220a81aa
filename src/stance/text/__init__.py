"""Text, without models: sentences, documents in files, names of holders."""
