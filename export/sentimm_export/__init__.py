"""Export: from a training run to the ONNX bundle that `sentimm score` reads."""
