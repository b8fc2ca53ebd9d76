"""The export of weights to ONNX: `exporter` is the script, `run` decides when it runs and checks what it made."""
