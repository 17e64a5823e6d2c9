"""Everything that can go wrong for a user, in one small tree.

AsrError
├── AudioError           a recording that cannot be read, or holds nothing to recognise
├── ManifestError        a list of utterances that cannot be understood
├── VocabularyError      a text the vocabulary cannot spell, or a broken vocabulary file
├── OptionsError         a setting that is unknown, of the wrong type, or out of range
├── DecodingError        log-probabilities that are not log-probabilities
├── LanguageModelError   a language model that is broken, or a text none can be made of
├── ScoringError         references and hypotheses that cannot be paired
├── BundleError          a model folder that is missing, incomplete or not to be trusted
├── TrainingError        a training run that cannot start, or must not go on
└── MissingExtraError    a feature whose optional packages are not installed

A message says what was expected, what was received, and which file or utterance it was about.
"""


class AsrError(Exception):
    """Root of the errors a user can cause or meet; its text is fit to be shown as it is."""


class AudioError(AsrError):
    """A recording cannot be read, or holds nothing to recognise."""


class ManifestError(AsrError):
    """A manifest, Kaldi directory or table cannot be understood."""


class VocabularyError(AsrError):
    """A text holds what the vocabulary cannot spell, or a vocabulary file is broken."""


class OptionsError(AsrError):
    """A setting is unknown, of the wrong type, or out of range."""


class DecodingError(AsrError):
    """A decoder was given something other than log-probabilities."""


class LanguageModelError(AsrError):
    """A language model is broken, or cannot be made of the text that was given."""


class ScoringError(AsrError):
    """References and hypotheses cannot be paired."""


class BundleError(AsrError):
    """A model folder is missing, incomplete or not to be trusted."""


class TrainingError(AsrError):
    """A training run cannot start, or must not go on."""


class MissingExtraError(AsrError):
    """A feature was asked for whose optional packages are not installed."""
