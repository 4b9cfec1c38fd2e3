"""The one place that knows how matchers are read."""


def check_matcher(text: str) -> str:
    """The text itself; raises ValueError with the character and what was expected there."""
    if not text.strip():
        raise ValueError('expected a matcher like service="web"')
    return text
