"""Text from outside on a terminal: shown, and never obeyed."""


def harmless(text: str) -> str:
    """Returns text whose only control characters are ends of lines and tabs; others become `?`.

    A name in a list of recordings, or a model's card, may hold what terminals take for commands:
    to recolour what follows, to move back and write over it, to set the window's title.
    """
    return "".join(one if one.isprintable() or one in "\n\t" else "?" for one in text)
