"""Model weights: which file of which wheel, and the ONNX graphs made from them."""
