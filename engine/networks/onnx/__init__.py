"""Segmentation networks of other programs, given as ONNX files and run by onnxruntime."""
