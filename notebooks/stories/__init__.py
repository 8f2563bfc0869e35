"""What the examples are made from: prompts, and what a model says and runs."""

from __future__ import annotations

from . import electricity, joins, pipeline, rose, survey
from .story import Story

__all__ = ["STORIES", "Story"]

STORIES: tuple[Story, ...] = (joins.STORY, survey.STORY, electricity.STORY, pipeline.STORY, rose.STORY)
