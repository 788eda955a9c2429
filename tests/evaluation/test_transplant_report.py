import io
import json
from dataclasses import asdict

import numpy as np
from rich.console import Console

from lexigraft.evaluation.transplant_report import TransplantReport
from lexigraft.transplant.engine import Transplanted
from lexigraft.transplant.provenance import Provenance
from tests.transplant.matrices import word_matrix
from tests.transplant.test_provenance import copies

WORDS = ["<pad>", "<unk>", *(f"w{i}" for i in range(40))]


def test_a_report_is_printed_and_left_in_a_folder(tmp_path):
    source = word_matrix(WORDS)
    source.rows[10] = source.rows[11]
    transplanted = Transplanted(word_matrix(WORDS), copies(42, range(42)), notes={"omp": {"error": 0.5}})
    transplanted.matrix.rows[5] = 0
    report = TransplantReport.of(source, transplanted, np.arange(42), {"donor": source})
    file = io.StringIO()
    report.print(Console(file=file, soft_wrap=True, highlight=False))
    out = file.getvalue()
    assert "covered by the source" in out
    assert "omp         error 0.5\n" in out
    assert "warning: 1 row of only zeros: " in out

    report.save(tmp_path)
    read = {name: json.loads((tmp_path / f"{name}.json").read_text("utf-8")) for name in ("summary", "diagnosis")}
    assert read == {"summary": report.summary, "diagnosis": asdict(report.diagnosis)}
    assert Provenance.load(tmp_path / "provenance.parquet").count() == {"exact": 42}
    assert (tmp_path / "transplant.png").stat().st_size > 10_000
