"""`trapline cluster`: one run on many machines, in shards that anybody does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.addresses import Use
from trapline.cli import _common as common
from trapline.errors import UsageError, many

if TYPE_CHECKING:
    from trapline.cluster import Attempt, RunStatus
    from trapline.prediction import Progress

group = typer.Typer(
    help="One prediction or detection on many machines: plan it, have its shards done, put them together.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Folder = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder that `plan` has made.", show_default=False)
]
_PREDICT, _DETECT = "To predict", "To detect"


@group.command("plan", short_help="Cut a run into shards; makes the folder for it.")
def plan(
    model: Annotated[
        str,
        typer.Argument(
            help="The model file, or the id of a ready model; to detect a detector, or auto.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CATALOG",
            help="A catalog, a folder, a .txt list of paths, or any format of `catalog`.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="RUN", help="The folder to make.", show_default=False),
    ],
    task: Annotated[str, typer.Option(help="What is to be done: predict, detect or embed.")] = "predict",
    shard_size: Annotated[int, typer.Option(min=1, help="Media a shard has at least.")] = 8192,
    part: common.Part = None,
    runtime: Annotated[
        str,
        typer.Option(
            help="What runs the network on all machines: cpu, cuda, directml, coreml or openvino; auto is "
            "what this one would take."
        ),
    ] = "auto",
    lease: Annotated[
        float, typer.Option(min=1, help="Seconds after which a worker that says nothing has lost its shard.")
    ] = 120.0,
    tries: Annotated[
        int,
        typer.Option(
            min=1,
            help="How often a shard's process may die at one point before the photo that kills it is looked "
            "for.",
        ),
    ] = 3,
    level: Annotated[
        str | None, typer.Option(help="media: a row a photo. box: a row a box. event: a row an event.")
    ] = None,
    boxes: Annotated[
        str | None, typer.Option(metavar="FILE", help="Boxes to cut to: MegaDetector's JSON.")
    ] = None,
    promise: Annotated[
        float | None, typer.Option(help="Model of taxa: the share of right answers to keep, as in 0.9.")
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="Model of taxa: the share of photos to answer, 80% or family:80%.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Media a batch.")] = None,
    kinds: Annotated[
        bool | None,
        typer.Option(
            "--kinds/--no-kinds",
            help="To detect: tell animal, person and vehicle apart; see `trapline detect`.",
            show_default=False,
        ),
    ] = None,
    where_none: Annotated[
        bool | None,
        typer.Option("--where-none", help="To detect: only photos without a box.", show_default=False),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="To detect: the detector's layout, where its file does not tell.")
    ] = None,
    side: Annotated[int | None, typer.Option(min=32, help="To detect: of its input, pixels.")] = None,
    channels: Annotated[str | None, typer.Option(metavar="RGB|BGR", help="To detect: their order.")] = None,
    min_conf: Annotated[
        float | None, typer.Option(help="To detect: boxes below this confidence are left out.")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(help="To detect: of boxes that overlap more than this one stays.")
    ] = None,
    categories: Annotated[
        str | None, typer.Option(help="To detect: what the detector finds, in its order.")
    ] = None,
    json: common.Json = False,
) -> None:
    """Cut a prediction or detection into shards, and make the folder that its workers need.

    What they need besides is the photos, and a Trapline of the same version.
    """
    from trapline import api

    with common.warnings_as_notes():
        made = api.plan_shards(
            model,
            source,
            output,
            task=task,  # type: ignore[arg-type]
            shard_size=shard_size,
            tries=tries,
            lease=lease,
            part=part,
            runtime=runtime,
            level=level,  # type: ignore[arg-type]
            boxes=boxes,
            promise=promise,
            answer=answer,
            batch_size=batch_size,
            kinds=kinds,
            where_none=where_none,
            layout=layout,
            side=side,
            channels=channels,
            min_conf=min_conf,
            overlap=overlap,
            categories=categories.split(",") if categories else None,
            say=common.note,
        )
    if json:
        facts = {"plan": made.id, "work": made.work, "media": made.media, "shards": len(made.shards)}
        common.print_json({"folder": output.as_posix(), **facts})
        return
    last = len(made.shards) - 1
    typer.echo(f"Planned {made.media:,} media in {many(last + 1, 'shard')}, 0 to {last}: {output}")
    typer.echo(f"On every machine: trapline cluster work {output} --claim")
    typer.echo(f"In the end:       trapline cluster merge {output} -o TABLE")


@group.command("work", short_help="Do a shard, or one after the other.")
def work(
    folder: Folder,
    shard: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Which, from 0; left out, that of the task of a Slurm array or of Kubernetes' Indexed Job "
            "that this is.",
            show_default=False,
        ),
    ] = None,
    claim: Annotated[
        bool, typer.Option("--claim", help="Take whichever nobody is at, until all are done.")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="Deal all that are not done to processes: local:N (N at once on this machine), ray, "
            "ray://HOST:PORT.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the photos are on this machine, if not where the plan says.",
            show_default=False,
        ),
    ] = None,
    workers: common.Workers = None,
    threads: common.Threads = None,
    json: common.Json = False,
) -> None:
    """Do shards of RUN. Whatever ends it, the same command goes on where it stopped, here or elsewhere."""
    from trapline import api
    from trapline.cli.predict import clock

    with common.warnings_as_notes(), common.progress() as display:
        task = display.add_task("look for a shard", total=None, rate="")

        def show(now: Attempt) -> None:
            rate = f"{now.rate:.1f}/s"
            name = f"shard {now.shard}"
            display.update(task, total=now.inputs, completed=now.done, rate=rate, description=name)

        def show_all(now: Progress) -> None:
            rate = f"{now.rate:.1f}/s"
            display.update(task, total=now.total, completed=now.done, rate=rate, description="all shards")

        if on is None:
            done = api.work(
                folder, shard, claim=claim, root=root, workers=workers, threads=threads, report=show
            )
        elif claim or shard is not None:
            raise UsageError("--on deals all shards to an engine: leave --shard and --claim out.")
        else:
            done = api.deal_shards(
                folder, on, root=root, workers=workers, threads=threads, progress=show_all, say=common.note
            )
    if json:
        common.print_json(vars(done))
    elif done.finished:
        named = ", ".join(map(str, done.finished))
        typer.echo(f"Finished {many(len(done.finished), 'shard')} ({named}): {done.inputs:,} inputs now.")
        typer.echo(f"It took {clock(done.seconds)}.")
    elif not done.failed:
        typer.echo("There was nothing to do: done already.")
    done.refuse_failures()


@group.command("status", short_help="How far a run is.")
def status(folder: Folder, json: common.Json = False) -> None:
    """How far RUN is: shards done, who is at which, the time left, and what has failed."""
    from trapline import api

    now = api.run_status(folder)
    if json:
        from dataclasses import asdict

        common.print_json(asdict(now) | {"finished": now.finished}, indent=1)
        return
    _show_status(now, folder)


def _show_status(now: RunStatus, folder: Path) -> None:
    from trapline.cli.predict import clock

    shards = f"{now.count('finished')} of {many(len(now.shards), 'shard is')} done"
    typer.echo(f"{shards}, {now.done:,} of {now.inputs:,} inputs.")
    if now.seconds_left is not None:
        typer.echo(f"{now.rate:.1f} inputs a second; {clock(now.seconds_left)} left at this rate.")
    for one in now.shards:
        if one.state in ("finished", "waiting"):
            continue
        far = f"{one.done:,} done, attempt {one.attempts}, {one.worker}"
        typer.echo(f"  shard {one.shard} {one.state}: {far}{f': {one.reason}' if one.reason else ''}")
    failed = sum(one.media_failed for one in now.shards)
    if failed:
        typer.echo(f"{many(failed, 'row')} of the finished shards failed; the merged table says why.")
    if now.finished:
        typer.echo(f"All is done: trapline cluster merge {folder} -o TABLE")


@group.command("merge", short_help="One table of all shards, as a single run's.")
def merge(
    folder: Folder,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="What `predict` (.csv, .parquet), `detect` (.parquet, .json) or `embed` (.parquet) "
            "would write.",
            show_default=False,
        ),
    ],
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Leave with status 1 if any media failed, or a folder was not read."),
    ] = False,
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Put the shards of RUN together: byte for byte what a single run would have written."""
    from trapline import api
    from trapline.catalog import DetectedBoxes
    from trapline.cli.detect import show_boxes
    from trapline.cli.embed import show_embedded
    from trapline.cli.predict import show_summary

    common.refuse_to_overwrite(output, force)
    if (
        api.run_status(folder).work == "predict"
    ):  # boxes and embeddings have other names, and no header beside
        common.refuse_as_predictions(output, force)
    merged = api.merge_shards(folder, output)
    if isinstance(merged.counts, DetectedBoxes):
        show_boxes(merged.counts, output, json)
    elif merged.plan.work == "embed":
        show_embedded(merged.counts, output, json)
    else:
        options = merged.plan.options
        level, runtime = str(options["level"]), str(options["runtime"])
        show_summary(merged.counts, output, level, runtime, None, json)
        for sentence in () if merged.counts.familiar is None else merged.counts.familiar.sentences():
            common.note(sentence)
    if strict:
        merged.refuse_failures()


@group.command("write", short_help="A file for Slurm, Kubernetes or Ray.")
def write(
    folder: Folder,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The file to write.", show_default=False),
        Use.LOCAL,
    ],
    scheduler: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="slurm|kubernetes|ray",
            help="slurm: an array for sbatch. kubernetes: an Indexed Job. ray: a RayJob for KubeRay.",
            show_default=False,
        ),
    ],
    cpus: Annotated[int | None, typer.Option(help="Cores for a shard [4].", show_default=False)] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="For a shard, as 4G [4G].", show_default=False)
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="For a shard [0].", show_default=False)] = None,
    at_once: Annotated[
        int | None,
        typer.Option(
            help="Shards at once [Slurm: as many as there is room for; Kubernetes: 4]; Ray: machines [4].",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Where the photos are on those machines, if not where the plan says."
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Slurm: the longest for a shard at a time, as 4:00:00; what is not done then goes on later.",
            show_default=False,
        ),
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Slurm: the partition.", show_default=False)] = None,
    account: Annotated[str | None, typer.Option(help="Slurm: the account.", show_default=False)] = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="LINE", help="Slurm: run first, as 'module load cuda'.", show_default=False),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(help="Kubernetes, Ray: the image, with Trapline in it.", show_default=False),
    ] = None,
    volume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLAIM:/PATH",
            help="Kubernetes, Ray: a persistent volume claim, and where pods find it; may be repeated.",
            show_default=False,
        ),
    ] = None,
    run_path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Kubernetes, Ray: where pods find RUN [its path here].", show_default=False
        ),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="Kubernetes, Ray.", show_default=False)] = None,
    force: common.Force = False,
) -> None:
    """Write the file by which a scheduler does the shards of RUN, and say how to start it."""
    from trapline import api
    from trapline.cluster import JobOptions

    common.refuse_to_overwrite(output, force)
    options = JobOptions(
        cpus=cpus,
        memory=memory,
        gpus=gpus,
        at_once=at_once,
        root=root,
        time=time,
        partition=partition,
        account=account,
        before=before,
        image=image,
        volumes=tuple(volume or ()),
        run_path=run_path,
        namespace=namespace,
    )
    api.write_job_file(folder, output, scheduler, options)
    start = "sbatch" if scheduler == "slurm" else "kubectl apply -f"
    typer.echo(f"Wrote {output}. To start it: {start} {output}")
    typer.echo(f"In the end: trapline cluster merge {folder} -o TABLE")
