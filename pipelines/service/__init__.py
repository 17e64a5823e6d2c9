"""Transcription over HTTP, as OpenAI's clients ask for it: `asr serve`."""
