"""`Plan`: which tasks go on which offers of one turn, and what is left of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mezzo.cluster import Launched, Offer
from mezzo.cx import Cx
from mezzo.resources import Resources
from mezzo.task import Placement, Task


class Plan:
    """Collects placements and keeps count of what each offer still holds, so that the whole turn needs one `launch`.

    First fit. A search for the shape of the search before goes on where that one ended, so that placing many equal
    tasks looks at each offer once.
    """

    def __init__(self, offers: Iterable[Offer]) -> None:
        self.offers = list(offers)
        """What is left of them."""
        self.placements: list[Placement] = []
        self._at = 0
        self._shape: Resources | None = None

    def fit(self, shape: Resources, accept: Callable[[Offer], bool] | None = None) -> Offer | None:
        """Where `shape` still fits, on an offer that `accept` agrees to. Calls for one shape in a row must come with
        the same `accept`, or `rewind` in between."""
        if self._shape != shape:
            self._shape, self._at = shape, 0
        while self._at < len(self.offers):
            offer = self.offers[self._at]
            if offer.free.holds(shape) and (accept is None or accept(offer)):
                return offer
            self._at += 1
        return None

    def rewind(self) -> None:
        """Lets the next `fit` look at every offer again."""
        self._shape = None

    def put(self, offer: Offer, task: Task, demand: str | None = None) -> None:
        """Puts a task on the offer that `fit` found."""
        offer.free -= task.shape
        self.placements.append(Placement(offer.id, task, demand))

    def place(self, demand: str | None, task: Task, accept: Callable[[Offer], bool] | None = None) -> bool:
        """Both at once, on whichever offer fits first; False when none does."""
        offer = self.fit(task.shape, accept)
        if offer is None:
            return False
        self.put(offer, task, demand)
        return True

    def launch(self, cx: Cx) -> list[Launched]:
        """Launches everything in one call; without placements there is no call."""
        return cx.launch(self.placements) if self.placements else []
