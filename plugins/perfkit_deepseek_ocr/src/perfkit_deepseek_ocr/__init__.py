"""perfkit plugin for DeepSeek-OCR."""
