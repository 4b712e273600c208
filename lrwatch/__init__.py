"""lrwatch: watches a training's logs and adjusts its learning rate through a control file."""

TYPE_CHECKING = False  # the typing module would cost more than all that is imported here

if TYPE_CHECKING:
    from lrwatch.client.client import Client
    from lrwatch.client.torch import attach

__version__ = "0.1.0"

__all__ = ["Client", "__version__", "attach"]


def __getattr__(name: str) -> object:
    """Import on first use: whoever only wants the version pays for nothing else."""
    if name == "Client":
        from lrwatch.client.client import Client

        return Client
    if name == "attach":
        from lrwatch.client.torch import attach

        return attach
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
