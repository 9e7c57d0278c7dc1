"""Which replica a call of Serve's goes to: the one it names. Ray is imported here, so this is imported late.

The hub's own dispatch (hub/execution/dispatch.py) has chosen it: a warm one first, by turns, with what each has to do.
Serve's routers know none of that. This one also tells the hub which replicas there are, as Serve's controller says.
"""

from __future__ import annotations

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica


class Named(RequestRouter):
    """Calls name their replica by the keyword `to`; where that is gone, any other gets them."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        to = pending_request.kwargs.get("to") if pending_request else None
        named = [replica for replica in candidate_replicas if replica.replica_id.unique_id == to]
        return [named or candidate_replicas]

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        super().update_replicas(replicas)
        self._tell()

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        super().on_replica_actor_died(replica_id)
        self._tell()

    def _tell(self) -> None:
        # Serve sends this class around by value, with all that its code names: what is imported here it does not.
        from hub.cluster.listeners import LISTENERS

        listener = LISTENERS.get(self.app_name)
        if listener is not None:
            listener(frozenset(replica_id.unique_id for replica_id in self.curr_replicas))
