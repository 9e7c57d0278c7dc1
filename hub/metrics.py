"""What /metrics reports, as prometheus_client collectors in a registry of the engine's own."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class PoolMetrics(Protocol):
    """Who hears what the pool does."""

    def pool_changed(self, event: str, amount: float) -> None:
        """load (seconds), eviction (count), bytes (now in use), budget (bytes)."""


class RunMetrics(PoolMetrics, Protocol):
    """Who hears what happens where models run, which may be another process."""

    def batch_passed(self, slug: str, size: int) -> None:
        """One forward pass of a page's model is over, with so many requests in it."""

    def output_reused(self, slug: str) -> None:
        """A run had no need of the model: what it made of the same input was still there."""


class UsageMetrics(Protocol):
    """Who keeps counts beyond the life of the process."""

    def run_ended(self, page: str, caller: str, outcome: str, seconds: float) -> None:
        """A run of a kind of caller was answered, or failed with the error of this code."""

    def model_loaded(self, seconds: float) -> None:
        """A model was brought into memory."""


class Metrics:
    """Collectors by name; every engine has its own set, so that tests and reloads do not clash."""

    def __init__(self, usage: UsageMetrics | None = None) -> None:
        self.registry = CollectorRegistry()
        self._usage = usage
        self.requests = Counter(
            "hub_requests_total",
            "Runs asked for, by demo and outcome",
            ["demo", "outcome"],
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "hub_stage_seconds",
            "Time by stage of a run",
            ["demo", "stage"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "hub_batch_size",
            "Requests in one forward pass",
            ["demo"],
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self.cache_hits = Counter(
            "hub_cache_hits_total",
            "Answers not computed: stored result, shared with an equal request, or stored model output",
            ["demo", "kind"],
            registry=self.registry,
        )
        self.errors = Counter(
            "hub_errors_total", "Failed runs, by error code", ["demo", "code"], registry=self.registry
        )
        self.pool_bytes = Gauge("hub_pool_bytes", "Bytes of models in memory", registry=self.registry)
        self.pool_budget_bytes = Gauge("hub_pool_budget_bytes", "Bytes models may take", registry=self.registry)
        self.model_loads = Counter("hub_model_loads_total", "Models loaded", registry=self.registry)
        self.model_load_seconds = Histogram(
            "hub_model_load_seconds", "Time to load a model", buckets=SECONDS, registry=self.registry
        )
        self.evictions = Counter("hub_model_evictions_total", "Models that left memory", registry=self.registry)
        self.processes_lost = Counter(
            "hub_processes_lost_total", "Model processes that ended by themselves", registry=self.registry
        )
        self.in_work = Gauge("hub_requests_in_work", "Runs in work now", registry=self.registry)
        self.hosts = Gauge("hub_model_hosts", "Processes or replicas that run models now", registry=self.registry)
        self.lost_runs = Counter(
            "hub_runs_lost_total",
            "Runs that ended with the process or replica they were in, and were tried again elsewhere",
            ["demo"],
            registry=self.registry,
        )

    def run_ended(self, slug: str, caller: str, outcome: str, seconds: float) -> None:
        """A run was answered: hit, shared, computed, background."""
        self.requests.labels(slug, outcome).inc()
        self.stage_seconds.labels(slug, "total").observe(seconds)
        if self._usage is not None:
            self._usage.run_ended(slug, caller, outcome, seconds)

    def run_failed(self, slug: str, caller: str, code: str, seconds: float) -> None:
        """A run ended with the error of this code."""
        self.requests.labels(slug, "error").inc()
        self.errors.labels(slug, code).inc()
        if self._usage is not None:
            self._usage.run_ended(slug, caller, code, seconds)

    def pool_changed(self, event: str, amount: float) -> None:
        """As PoolMetrics says."""
        if event == "load":
            if self._usage is not None:
                self._usage.model_loaded(amount)
            self.model_loads.inc()
            self.model_load_seconds.observe(amount)
        elif event == "eviction":
            self.evictions.inc(amount)
        elif event == "budget":
            self.pool_budget_bytes.set(amount)
        else:
            self.pool_bytes.set(amount)

    def batch_passed(self, slug: str, size: int) -> None:
        """As RunMetrics says."""
        self.batch_size.labels(slug).observe(size)

    def output_reused(self, slug: str) -> None:
        """As RunMetrics says."""
        self.cache_hits.labels(slug, "output").inc()

    def run_lost(self, slug: str) -> None:
        """A run ended with the process or replica it was in."""
        self.lost_runs.labels(slug).inc()

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
