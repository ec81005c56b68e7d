"""Models that a person brings as ONNX: read without being believed, run in processes of their own, shown like any."""
