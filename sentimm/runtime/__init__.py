"""ONNX Runtime: devices, sessions, and the engine that runs a bundle's graphs."""
