"""The funnel, its stages, and further pipelines: `client.pipeline`, `client.pipelines`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Optional, Union

from typing_extensions import Required, TypedDict, Unpack

from ..models import Opportunity, Pipeline, PipelineOverview, Pipelines, Stage, StageClosing, Stages
from ..operations import Guarded, Keyed, Resource, listing, operation
from ..steps import M
from .opportunities import ForecastCategory, Paging

StageKind = Literal["open", "won", "lost"]
After = Union[Opportunity, str]
"""A write that the answer is to take in: the opportunity that it gave, or `<id>:<version>`."""


class Scope(TypedDict, total=False):
    """Whose opportunities a number is of."""

    owner_id: int
    team_id: int
    pipeline_id: int
    after: After


class StageFacts(TypedDict, total=False):
    """What is said of a stage."""

    default_probability: int | None
    rotting_days: int | None
    required_fields: Sequence[str]
    forecast_category: ForecastCategory | None


class StageOfPipeline(StageFacts, total=False):
    """A stage of a pipeline that is being made."""

    name: Required[str]
    key: str
    kind: StageKind


class NewStage(StageFacts, Keyed, total=False):
    """What a stage is made of."""

    name: Required[str]
    key: str
    kind: StageKind
    position: int
    pipeline_id: int


class StageChange(StageFacts, Guarded, total=False):
    """What may be changed."""

    name: str
    kind: StageKind
    position: int
    pipeline_id: int


class StageOrder(Guarded, total=False):
    """Which pipeline."""

    pipeline_id: int


class StageEnd(Guarded, total=False):
    """Which pipeline, and where its opportunities go."""

    pipeline_id: int
    move_to: str


class PipelineFunnel(Resource[M]):
    """The funnel: one pipeline as it stands, the default one unless `pipeline_id` says another."""

    @operation("GET /pipeline/overview")
    def get_overview(self, **scope: Unpack[Scope]) -> PipelineOverview:
        """All stages in order, with counts, values and conversion."""

    @listing("GET /pipeline/stages")
    def list_stages(self, pipeline_id: Optional[int] = None, **paging: Unpack[Paging]) -> Stages:
        """The stages in order. A `page()` tells the version of their pipeline, and what they may ask for."""

    @operation("POST /pipeline/stages", asked=["pipeline_id"])
    def create_stage(self, **fields: Unpack[NewStage]) -> Stage:
        """Makes one. For administrators."""

    @operation("PATCH /pipeline/stages/{key}", asked=["pipeline_id"])
    def update_stage(self, key: str, **change: Unpack[StageChange]) -> Stage:
        """Changes what is named. For administrators."""

    @operation("DELETE /pipeline/stages/{key}")
    def delete_stage(self, key: str, **options: Unpack[StageEnd]) -> Optional[StageClosing]:
        """Deletes one; `move_to` says where its opportunities go. What is left to move, where that takes longer."""

    @operation("PUT /pipeline/stages/order", asked=["pipeline_id"])
    def reorder_stages(self, keys: Sequence[str], **options: Unpack[StageOrder]) -> Pipeline:
        """Orders them by their keys. For administrators."""


class NewPipeline(Keyed, total=False):
    """What a pipeline is made of."""

    name: Required[str]
    stages: Sequence[StageOfPipeline]
    is_default: bool


class PipelineChange(Guarded, total=False):
    """What may be changed."""

    name: str
    is_default: bool


class AllPipelines(Resource[M]):
    """Pipelines, each with its own stages."""

    @listing("GET /pipelines")
    def list(self, **paging: Unpack[Paging]) -> Pipelines:
        """All of them, the default one first."""

    @operation("POST /pipelines")
    def create(self, **fields: Unpack[NewPipeline]) -> Pipeline:
        """Makes one. For administrators."""

    @operation("GET /pipelines/{pipeline_id}")
    def get(self, pipeline_id: int) -> Pipeline:
        """One."""

    @operation("PATCH /pipelines/{pipeline_id}")
    def update(self, pipeline_id: int, **change: Unpack[PipelineChange]) -> Pipeline:
        """Changes what is named."""

    @operation("DELETE /pipelines/{pipeline_id}")
    def delete(self, pipeline_id: int, **options: Unpack[Guarded]) -> None:
        """Deletes one in which nothing stands."""
