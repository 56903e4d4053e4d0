"""Hook implementations of the DeepSeek-OCR plugin; this version registers nothing."""
