"""Errors that a user can cause; each prints as one line that names the file, field and expected value."""


class KdpError(Exception):
    """Base of all errors of users. Command-line tools print it as one line and exit with 2."""


class SpecError(KdpError):
    """A spec (contract) is malformed, or two specs that must agree do not."""


class DataError(KdpError):
    """A data set is missing, truncated, of the wrong shape or not finite."""


class ArtifactError(KdpError):
    """An exported planner is incomplete, altered or does not fit its spec."""


class ConfigError(KdpError):
    """A configuration file or command-line value is wrong."""


class InputError(KdpError):
    """A state, goal or context handed to the planner is not finite or has the wrong shape."""
