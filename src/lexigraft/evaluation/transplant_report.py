"""All that is known about a finished transplant: computed once, printed, and left in a folder for `show transplant`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.evaluation.tables import coverage_table, notes_text, warning_text
from lexigraft.evaluation.transplant_picture import plot_transplant
from lexigraft.runs.folder import write_json
from lexigraft.transplant.diagnosis import Diagnosis, diagnose
from lexigraft.transplant.engine import Transplanted
from lexigraft.transplant.provenance import summarise

SUMMARY, DIAGNOSIS, PROVENANCE, PICTURE = "summary.json", "diagnosis.json", "provenance.parquet", "transplant.png"


@dataclass(frozen=True)
class TransplantReport:
    """The summary and diagnosis of a transplant from `source`; `counts` [T]: occurrences of the target's tokens."""

    source: EmbeddingMatrix
    transplanted: Transplanted
    counts: np.ndarray | None
    summary: dict[str, Any]
    diagnosis: Diagnosis

    @classmethod
    def of(
        cls,
        source: EmbeddingMatrix,
        transplanted: Transplanted,
        counts: np.ndarray | None = None,
        spaces: Mapping[str, EmbeddingMatrix] | None = None,
    ) -> "TransplantReport":
        """Look a transplant over; `spaces` are the further matrices that it used."""
        new, provenance = transplanted.matrix, transplanted.provenance
        summary = summarise(provenance, source, new, counts, transplanted.notes)
        diagnosis = diagnose(source, new, provenance, summary, counts, spaces)
        return cls(source, transplanted, counts, summary, diagnosis)

    def print(self, console: Console) -> None:
        """Coverage, what the steps note, and a line for each warning."""
        console.print(coverage_table(self.summary))
        if notes := notes_text(self.summary):
            console.print(notes, markup=False)
        for warning in self.diagnosis.warnings:
            console.print(warning_text(warning))

    def save(self, folder: Path) -> None:
        """Write summary.json, diagnosis.json, provenance.parquet and transplant.png."""
        new, provenance = self.transplanted.matrix, self.transplanted.provenance
        write_json(folder / SUMMARY, self.summary)
        write_json(folder / DIAGNOSIS, asdict(self.diagnosis))
        provenance.save(folder / PROVENANCE, self.source.vocabulary, new)
        plot_transplant(self.source, new, provenance, folder / PICTURE, self.counts)
