"""How a channel says that it could not."""

from enum import StrEnum


class Trouble(StrEnum):
    """Why a call failed; the words are metric labels."""

    CLIENT_ERROR = "client_error"
    AUTH_ERROR = "auth_error"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"


class ChannelError(Exception):
    """A channel could not do what it was asked.

    `happened` is False when the message certainly was not sent, None when nobody knows (a time-out, a reset, any 5xx): then
    `find` is asked before the next try. `retry` tells whether trying again can help; `retry_after` is in seconds.
    `reason` names what to mend and never carries a secret.
    """

    def __init__(
        self, trouble: Trouble, reason: str, *, retry: bool, happened: bool | None = False, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.trouble, self.reason, self.retry = trouble, reason, retry
        self.happened, self.retry_after = happened, retry_after


class NotAllowed(ChannelError):
    """What was asked is not permitted, or hidden from us. That says nothing of other calls: who may not read may often write."""

    def __init__(self, trouble: Trouble, reason: str) -> None:
        super().__init__(trouble, reason, retry=True)


class Gone(ChannelError):
    """The message to edit, or the thread to answer in, is no longer there: forget its address and post anew."""

    def __init__(self, reason: str) -> None:
        super().__init__(Trouble.CLIENT_ERROR, reason, retry=False)
