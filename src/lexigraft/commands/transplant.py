"""`lexigraft transplant`: a matrix on another vocabulary, without training."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lexigraft import build
from lexigraft.embeddings.write import save_matrix
from lexigraft.evaluation.tables import coverage_table, data_text, source_text
from lexigraft.runs.folder import require_writable, write_json, write_text
from lexigraft.runs.manifest import manifest
from lexigraft.transplant.provenance import summarise


def run(cfg: DictConfig) -> None:
    """Write the new matrix, its tokenizer and its provenance to the folder `output`."""
    console = Console(soft_wrap=True, highlight=False)
    output = Path(cfg.output)
    if output.exists():
        raise ValueError(f"output={output} exists already, and nothing is overwritten: give a new folder")
    require_writable(output, "output")
    data = build.text_data(cfg.data) if "_target_" in cfg.data else None
    if data is not None:
        console.print(data_text(data), markup=False)
    source = build.source_matrix(cfg.source)
    console.print(source_text(source.origin), markup=False)
    texts = data.train.texts if data else []
    target = build.target_tokenizer(cfg.tokenizer, source, texts, data.language if data else None)
    transplanted = build.transplant(cfg.transplant)(source, target, cfg.seed)
    if transplanted.project_to is not None:
        raise ValueError(
            "transplant.resize=linear is learned in training, so there is nothing to write yet: "
            "use transplant.resize=pca, or `lexigraft train`"
        )
    counts = target.counts(target.encode(texts)) if data else None
    summary = summarise(transplanted.provenance, source.rows, transplanted.matrix.rows, counts)
    console.print(coverage_table(summary))

    save_matrix(transplanted.matrix, output)
    write_text(output / "config.yaml", OmegaConf.to_yaml(cfg))
    write_json(output / "summary.json", summary)
    transplanted.provenance.save(output / "provenance.npz")
    write_json(
        output / "provenance.json",
        manifest(
            seed=cfg.seed,
            data={} if data is None else {"name": data.name, "sha256": {"train": data.train.fingerprint()}},
            source=source.origin,
            target={"tokens": len(target.vocabulary), "sha256": target.vocabulary.fingerprint()},
        ),
    )
    console.print(f"written to  {output}")
