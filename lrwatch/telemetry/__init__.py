"""What the outside sees of the watcher: metrics, a small read-only HTTP server, and log lines.

Nothing here decides anything. Everything reads finished values, and every text that came from a log file
passes through `text` before it reaches a page or a terminal.
"""

from lrwatch.telemetry.logs import configure, fields
from lrwatch.telemetry.metrics import METRICS, Metric, WatcherMetrics
from lrwatch.telemetry.server import Health, Server

__all__ = ["METRICS", "Health", "Metric", "Server", "WatcherMetrics", "configure", "fields"]
