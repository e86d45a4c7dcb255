"""Rate cap for work that arriving messages start."""


class RateLimit:
    """Lets at most `rate_hz` through on average; tolerates jitter: 50 Hz at a cap of 50 Hz is not halved."""

    def __init__(self, rate_hz: float) -> None:
        self.period_ns = int(1e9 / rate_hz)
        self._due_ns: int | None = None

    def ready(self, now_ns: int) -> bool:
        """Whether to work now; counts as done when True."""
        if self._due_ns is None:
            self._due_ns = now_ns
        if now_ns + self.period_ns // 4 < self._due_ns:
            return False
        # Never owe more than one period: after a pause, work goes on at the rate instead of catching up.
        self._due_ns = max(self._due_ns + self.period_ns, now_ns)
        return True
