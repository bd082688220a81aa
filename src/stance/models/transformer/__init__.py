"""The transformer: a pretrained encoder, fine-tuned with torch, exported to ONNX, and served without torch."""
