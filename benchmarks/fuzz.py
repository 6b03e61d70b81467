"""Fuzzing of every reader: whatever a file holds, the answer is a result or a `TraplineError`.

Small whole files of each format are mutated: bytes flipped, cut, doubled and spliced; cells, keys and values
of CSV and JSON replaced by the odd and the absurd. Anything raised but TraplineError, a crash of the process,
or ten seconds without an answer is a failure; it is printed with the seed that makes it again.

usage: python benchmarks/fuzz.py --minutes N [--target NAME ...] [--seed N]
       python benchmarks/fuzz.py --target NAME --only SEED      one case again, with its traceback
"""

from __future__ import annotations

import argparse
import copy
import faulthandler
import gzip
import io
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SECONDS = 10.0
TEXTS = (
    "", " ", "null", "NaN", "-1", "0", "1e999", "-0.0", "9" * 40, "blank", "../../etc/passwd",
    "/abs/olute.jpg", "C:\\x\\y.jpg", "a\\b.jpg", "é猫🦊", "\u202e", "\ud800", "\x00", "=1+1", "a,b", '"',
    "'", "\n", "\r", ";", "\t", "2024-02-30 25:61:00", "0000-00-00", "2024-01-01T00:00:00+99:99",
    "2024-03-31T02:30:00", "x" * 5000, "True", "http://a/b.jpg", "media_id", "_place", "_row",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, 2**80, -(2**70), 1.5, 1e308, float("nan"), float("inf"), [], {}, [[]],
    [None], {"": None}, [0.1, 0.2, 0.3], [0.5, 0.5, 0.9, 0.9], [-1, 0, 1, 1], ["x"] * 4, *TEXTS,
)  # fmt: skip
BYTES = (
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\x00" * 8,
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b"\r",
    b"\n\n",
    b",",
    b'"',
)


class Target(NamedTuple):
    """One reader.

    Attributes:
        seed: writes whole files into a folder and returns those to be mutated.
        read: reads what is in the folder.
        needs: a program without which the target is left out.
    """

    seed: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    needs: str | None = None

    def runs(self) -> bool:
        """Whether its program is there."""
        return self.needs is None or shutil.which(self.needs) is not None


def text_of(draw: random.Random) -> str:
    """A cell."""
    return draw.choice(TEXTS)


def mutate(content: bytes, name: str, draw: random.Random) -> bytes:
    """The content of a file, changed in one to four places."""
    kind = draw.random()
    if name.endswith(".json") and kind < 0.6:
        return mutate_json(content, draw)
    if name.endswith((".csv", ".yaml")) and kind < 0.6:
        return mutate_csv(content, draw)
    for _ in range(draw.randint(1, 4)):
        content = mutate_bytes(content, draw)
    return content


def mutate_bytes(content: bytes, draw: random.Random) -> bytes:
    """One change of raw bytes."""
    start = draw.randint(0, len(content))
    stop = min(len(content), start + draw.choice((1, 1, 2, 4, 16, 200)))
    ways = (
        lambda: content[:start],
        lambda: content[:start] + content[stop:],
        lambda: content[:stop] + content[start:],
        lambda: content[:start] + draw.randbytes(stop - start) + content[stop:],
        lambda: content[:start] + draw.choice(BYTES) + content[start:],
        lambda: content[:start] + text_of(draw).encode(errors="surrogatepass") + content[stop:],
        lambda: (
            content[:start] + bytes([content[start] ^ 1 << draw.randrange(8)]) + content[start + 1 :]
            if start < len(content)
            else content
        ),
    )
    return draw.choice(ways)()


def mutate_csv(content: bytes, draw: random.Random) -> bytes:
    """Cells, rows or columns changed."""
    rows = [line.split(",") for line in content.decode(errors="replace").splitlines()]
    for _ in range(draw.randint(1, 4)):
        row = draw.choice(rows) if rows else [""]
        place = draw.randrange(len(row)) if row else 0
        match draw.randrange(7):
            case 0 | 1 | 2:
                row[place : place + 1] = [text_of(draw)]
            case 3:
                rows.insert(draw.randint(0, len(rows)), list(row))
            case 4:
                row.append(text_of(draw))
            case 5:
                for line in rows:
                    del line[place : place + 1]
            case 6 if rows:
                rows[0] = [text_of(draw) if draw.random() < 0.3 else cell for cell in rows[0]]
    return "\n".join(",".join(row) for row in rows).encode(errors="surrogatepass")


def mutate_json(content: bytes, draw: random.Random) -> bytes:
    """Values or keys of a document changed."""
    document = [json.loads(content)]
    for _ in range(draw.randint(1, 3)):
        holder, key = document, 0
        for _ in range(draw.randint(0, 6)):  # down a random path
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner:
                break
            holder, key = (
                inner,
                draw.choice(list(inner)) if isinstance(inner, dict) else draw.randrange(len(inner)),
            )
        if isinstance(holder, dict) and draw.random() < 0.25:
            value = holder.pop(key)
            if draw.random() < 0.5:
                holder[text_of(draw)] = value
        else:
            holder[key] = copy.deepcopy(draw.choice(VALUES))
    return json.dumps(document[0], ensure_ascii=draw.random() < 0.5).encode(errors="surrogatepass")


def put(path: Path, content: str | bytes) -> Path:
    """Write a file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_json(path: Path, document: object) -> Path:
    """Write JSON."""
    return put(path, json.dumps(document))


CSV = """path,label,location,time
a/1.jpg,fox,L1,2024-01-01 10:00:00
a/2.jpg,blank,L1,2024-01-01 10:00:05
"b, c/3.jpg",hare,L2,
"""
TIMELAPSE = """File,RelativePath,RootFolder,DateTime,Species,Station,DeleteFlag
1.jpg,a,card,2024-01-01 10:00:00,fox,L1,false
2.jpg,a,card,2024-01-01 10:00:05,,L1,false
2.jpg,a,card,2024-01-01 10:00:05,hare,L1,true
"""
COCO = {
    "info": {"version": "1"},
    "images": [
        {"id": "i1", "file_name": "a/1.jpg", "location": 3, "datetime": "2024-01-01 10:00:00", "seq_id": "s",
         "seq_num_frames": 2, "frame_num": 1, "width": 100, "height": 50},
        {"id": "i2", "file_name": "a/2.jpg", "location": "L2", "date_captured": "2024-01-01 10:00:05",
         "width": 9, "height": 9},
    ],
    "categories": [{"id": 0, "name": "empty"}, {"id": 1, "name": "fox"}],
    "annotations": [
        {"id": "a1", "image_id": "i1", "category_id": 1, "bbox": [10, 10, 20, 20]},
        {"id": "a2", "image_id": "i2", "category_id": 0},
    ],
}  # fmt: skip
BOXES = {
    "info": {"format_version": "1.4", "detector": "md"},
    "detection_categories": {"1": "animal", "2": "person"},
    "images": [
        {"file": "a/1.jpg", "detections": [{"category": "1", "conf": 0.8, "bbox": [0.1, 0.1, 0.2, 0.2]}]},
        {"file": "a/2.jpg", "failure": "cannot open", "detections": None},
        {"file": "b, c/3.jpg", "max_detection_conf": 0, "detections": []},
    ],
}
SPECIESNET = {
    "predictions": [
        {"filepath": "a/1.jpg", "country": "CHE",
         "prediction": "u;mammalia;carnivora;canidae;vulpes;vulpes;fox", "prediction_score": 0.9,
         "detections": [{"category": "1", "label": "animal", "conf": 0.8,
                                                  "bbox": [0.1, 0.1, 0.2, 0.2]}],
         "classifications": {"classes": ["u;;;;;;blank"], "scores": [0.1]}},
        {"filepath": "a/2.jpg", "failures": ["DETECTOR"]},
    ]
}  # fmt: skip
PACKAGE = {
    "profile": "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json",
    "name": "p", "created": "2024-01-01T00:00:00Z",
    "resources": [
        {"name": name, "path": f"{name}.csv", "profile": "tabular-data-resource",
         "schema": f"https://x/{name}-table-schema.json"}
        for name in ("deployments", "media", "observations")
    ],
}  # fmt: skip
DEPLOYMENTS = """deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd
d1,L1,46.5,6.6,2024-01-01T00:00:00Z,2024-02-01T00:00:00Z
"""
MEDIA = """mediaID,deploymentID,captureMethod,timestamp,filePath,filePublic,fileMediatype
m1,d1,activityDetection,2024-01-01T10:00:00+01:00,media/1.jpg,true,image/jpeg
m2,d1,activityDetection,2024-01-01T10:00:05Z,media/2.jpg,false,image/jpeg
"""
OBSERVATIONS = """observationID,deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,\
observationType,scientificName,count,bboxX,bboxY,bboxWidth,bboxHeight
o1,d1,m1,e1,2024-01-01T10:00:00+01:00,2024-01-01T10:00:05Z,media,animal,Vulpes vulpes,1,0.1,0.1,0.2,0.2
o2,d1,,e1,2024-01-01T10:00:00+01:00,2024-01-01T10:00:05Z,event,blank,,,,,,
"""
TAXA = """label,class,order,family,genus,species,common_name,kind
fox,Mammalia,Carnivora,Canidae,Vulpes,Vulpes vulpes,red fox,animal
blank,,,,,,,blank
"""


def seed_package(folder: Path) -> list[Path]:
    """A Camtrap DP package."""
    tables = {"deployments": DEPLOYMENTS, "media": MEDIA, "observations": OBSERVATIONS}
    paths = [put(folder / f"{name}.csv", text) for name, text in tables.items()]
    return [*paths, as_json(folder / "datapackage.json", PACKAGE)]


def seed_zip(folder: Path) -> list[Path]:
    """The same, zipped."""
    with tempfile.TemporaryDirectory() as temporary:
        seed_package(Path(temporary))
        return [zipped(Path(temporary), folder / "package.zip")]


def zipped(folder: Path, target: Path, above: str = "") -> Path:
    """The files of a folder in a zip, below another folder."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, above + path.name)
    return target


def seed_parts(folder: Path) -> list[Path]:
    """A package whose media are two files, whose observations stand in the descriptor."""
    header, first, second = MEDIA.splitlines()
    names, *rows = [line.split(",") for line in OBSERVATIONS.splitlines()]
    media = {
        "name": "media",
        "path": ["media1.csv", "media2.csv"],
        "dialect": {"delimiter": ","},
        "schema": {"fields": [{"name": name} for name in header.split(",")], "missingValues": ["", "-"]},
    }
    inline = {"name": "observations", "data": [dict(zip(names, row, strict=True)) for row in rows]}
    resources = [PACKAGE["resources"][0], media, inline]  # type: ignore[index]
    return [
        put(folder / "deployments.csv", DEPLOYMENTS),
        put(folder / "media1.csv", f"{header}\n{first}\n"),
        put(folder / "media2.csv", f"{header}\n{second}\n"),
        as_json(folder / "datapackage.json", PACKAGE | {"resources": resources}),
    ]


def seed_gzip(folder: Path) -> list[Path]:
    """A package with a packed table."""
    paths = [path for path in seed_package(folder) if path.name not in ("media.csv", "datapackage.json")]
    (folder / "media.csv").unlink()
    resources = [dict(one) for one in PACKAGE["resources"]]  # type: ignore[attr-defined]
    resources[1] |= {"path": "media.csv.gz", "compression": "gz"}
    packed = put(folder / "media.csv.gz", gzip.compress(MEDIA.encode(), mtime=0))
    return [*paths, packed, as_json(folder / "datapackage.json", PACKAGE | {"resources": resources})]


def read_zipped(format: str) -> Callable[[Path], object]:
    """A call that reads the files zipped, below a folder of their own."""

    def call(folder: Path) -> object:
        from trapline.formats import read

        with tempfile.TemporaryDirectory() as temporary:
            return read(zipped(folder, Path(temporary) / "all.zip", "An export/"), format=format)

    return call


WILDLIFE_INSIGHTS = {
    "projects.csv": "project_id,project_name,project_type\n9,P,Image\n8,Q,Sequence\n",
    "deployments.csv": "project_id,deployment_id,placename,latitude\n9,D1,Ridge,2\n8,D1,Ridge,4\n",
    "images_9.csv": """project_id,deployment_id,image_id,filename,sequence_id,location,is_blank,\
identified_by,wi_taxon_id,class,order,family,genus,species,common_name,timestamp
9,D1,u1,1.jpg,,gs://b/d/u1.jpg,0,Ana,t,Aves,Strigiformes,Strigidae,Bubo,virginianus,Owl,2024-01-01 10:00:00
9,D1,u2,2.jpg,,gs://b/d/u2.jpg,1,Computer vision,t,,,,,,Blank,2024-01-01 10:00:05
8,D1,u3,1.jpg,s1,gs://b/e/u3.jpg,,,,No CV Result,,,,,,2024-01-01 10:00:05
""",
    "sequences.csv": """project_id,sequence_id,is_blank,identified_by,wi_taxon_id,class,genus,species
8,s1,0,Ana,t,Mammalia,Lepus,sp.
""",
}
RECORDS = """"Station","Species","DateTimeOriginal","Date","Time","Directory","FileName"
"A","fox","2024-01-01 10:00:00","2024-01-01","10:00:00","raw/A","1.JPG"
"B","hare","2024-01-01 10:00:05","2024-01-01","10:00:05","C:\\raw\\B","1.JPG"
"""


def several(files: dict[str, str]) -> Callable[[Path], list[Path]]:
    """A seed of several files."""
    return lambda folder: [put(folder / name, text) for name, text in files.items()]


def seed_wildlife_insights_parts(folder: Path) -> list[Path]:
    """A download of a project of images and one of sequences, its images in two files."""
    several(WILDLIFE_INSIGHTS)(folder)
    header, *rows = WILDLIFE_INSIGHTS["images_9.csv"].splitlines()
    (folder / "images_9.csv").unlink()
    for number, part in enumerate((rows[:2], rows[2:])):
        put(folder / f"images_200000{number}.csv", "\n".join([header, *part, ""]))
    return sorted(folder.iterdir())


ADDAXAI = """absolute_path,relative_path,data_type,label,confidence,human_verified,bbox_left,bbox_top,\
bbox_right,bbox_bottom,file_height,file_width,DateTimeOriginal
/c,a/1.jpg,img,fox,0.91,True,10,10,40,50,100,200,01/01/24 10:00:00
/c,a/1.jpg,img,person,0.5,False,60,10,80,50,100,200,01/01/24 10:00:00
/c,a/2.mp4,vid,hare,0.4,False,1,1,5,5,100,200,NA
"""
ADDAXAI_7 = {
    "files.csv": """file_id,event_id,file_type,relative_path,datetime,observation_type,\
classification_label,is_verified
f1,e1,image,a/1.jpg,2024-01-01T10:00:00+01:00,animal,fox,TRUE
f2,,image,a/2.jpg,,blank,,FALSE
f3,,video,a/3.mp4,,person,,FALSE
""",
    "detections.csv": """detection_id,file_id,detection_category,detection_confidence,\
classification_label,is_verified,bbox_x,bbox_y,bbox_width,bbox_height
x1,f1,animal,0.9,fox,TRUE,0.1,0.1,0.2,0.2
x2,f3,person,0.8,,FALSE,0,0,1,1
""",
}
LABEL_STUDIO = {
    "info": {"year": 2024, "version": "1.0", "contributor": "Label Studio"},
    "images": [
        {"id": 0, "file_name": "../../label-studio/data/upload/3/0a1b2c3d-1.jpg", "width": 9, "height": 9},
        {"id": 1, "file_name": "images\\2.jpg", "width": 9, "height": 9, "date_captured": 0, "coco_url": ""},
    ],
    "categories": [{"id": 0, "name": "fox"}, {"id": 1, "name": "hare", "supercategory": "animal"}],
    "annotations": [
        {"id": 0, "image_id": 0, "category_id": 0, "segmentation": [], "bbox": [1.5, 1.5, 2, 2],
         "ignore": 0, "iscrowd": 0, "area": 4},
        {"id": 1, "image_id": 1, "category_id": 1, "bbox_relative": [0.1, 0.1, 0.2, 0.2],
         "attributes": {"occluded": False}},
    ],
}  # fmt: skip
TIMES = """path;label;location;date;time
a/1.jpg;fox;L1;1/2/2024;10:00:00 AM
a/2.jpg;fox;L1;13/2/2024;10:00 PM
b/3.jpg;hare;L2;45292,5;NA
b/4.jpg;hare;L2;2024-02-01T10:00:00.250+01;0.25
b/5.jpg;hare;L2;2024:02:01;00:00
"""
CLASSIFIED = BOXES | {
    "classification_categories": {"0": "fox", "1": "hare"},
    "images": [
        {"file": "a/1.jpg", "detections": [
            {"category": "1", "conf": 0.8, "bbox": [0.1, 0.1, 0.2, 0.2],
             "classifications": [["0", 0.7], ["1", 0.2]]}]},
        {"file": "a/2.jpg", "failure": "cannot open", "detections": None},
        {"file": "b, c/3.jpg", "detections": []},
        {"file": "v.mp4", "frame_rate": 30, "frames_processed": [0, 30], "detections": [
            {"category": "1", "conf": 0.5, "bbox": [0, 0, 1, 1], "frame_number": 30}]},
    ],
}  # fmt: skip
BY_DETECTION = {
    "info": {"format_version": "20261015"},
    "predictions": [
        {"filepath": "a/1.jpg", "model_version": "5.0", "detections": [
            {"category": "1", "conf": 0.8, "bbox": [0.1, 0.1, 0.2, 0.2],
             "raw_classifications": {"classes": ["u;a;b;c;d;e;fox", "u;;;;;;blank"],
                                     "scores": [0.8, 0.1]},
             "processed_classification": {"class": "u;a;b;c;d;e;fox", "score": 0.8, "source": "x"}}]},
        {"filepath": "a/2.jpg", "failures": ["DETECTOR"]},
    ],
}  # fmt: skip
PYTORCH_WILDLIFE = {
    "categories": {"0": "animal", "1": "person"},
    "annotations": [
        {"img_id": "a/1.jpg", "bbox": [[1, 1, 5, 5]], "category": [0], "confidence": [0.8]},
        {"img_id": "a/2.jpg", "bbox": [], "category": [], "confidence": []},
    ],
}
ZAMBA = """filepath,blank,fox,hare
a/1.jpg,0.1,0.8,0.1
a/2.jpg,0.9,0.05,0.05
"b, c/3.jpg",0.2,0.2,0.6
"""
SURE = """file;species;score
a/1.jpg;fox;81 %
a/2.jpg;blank;99 %
"""
MACHINE = """project_id,deployment_id,image_id,filename,location,identified_by,is_blank,class,order,family,\
genus,species,common_name,cv_confidence,timestamp
9,D1,u1,1.jpg,gs://b/a/1.jpg,Computer vision,0,Mammalia,,Canidae,Vulpes,vulpes,Fox,0.9,2024-01-01 10:00:00
9,D1,u2,2.jpg,gs://b/a/2.jpg,Computer vision,1,,,,,,Blank,0.8,2024-01-01 10:00:05
"""
KEYWORDS = """<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about=''
 xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:lr='http://ns.adobe.com/lightroom/1.0/'
 xmlns:digiKam='http://www.digikam.org/ns/1.0/'>
<dc:subject><rdf:Bag><rdf:li>fox</rdf:li><rdf:li>night</rdf:li></rdf:Bag></dc:subject>
<lr:hierarchicalSubject><rdf:Bag><rdf:li>Species|fox</rdf:li></rdf:Bag></lr:hierarchicalSubject>
<digiKam:TagsList><rdf:Seq><rdf:li>Species/fox</rdf:li></rdf:Seq></digiKam:TagsList>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"""


def seed_keywords(folder: Path) -> list[Path]:
    """A photo with XMP and IPTC, and one with a sidecar."""
    from PIL import Image

    def block(number: int, content: bytes) -> bytes:
        return bytes([0xFF, number]) + (len(content) + 2).to_bytes(2, "big") + content

    file = io.BytesIO()
    Image.linear_gradient("L").resize((48, 32)).convert("RGB").save(file, "JPEG")
    iptc = b"\x1c\x01\x5a\x00\x03\x1b%G" + b"".join(
        b"\x1c\x02\x19" + len(word).to_bytes(2, "big") + word for word in (b"fox", b"Species")
    )
    resource = b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + b"\0" * (len(iptc) % 2)
    blocks = block(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + KEYWORDS.encode())
    blocks += block(0xED, b"Photoshop 3.0\0" + resource)
    whole = file.getvalue()
    return [
        put(folder / "A" / "1.jpg", whole[:2] + blocks + whole[2:]),
        put(folder / "A" / "2.jpg", whole),
        put(folder / "A" / "2.jpg.xmp", KEYWORDS),
    ]


def seed_workbook(folder: Path) -> list[Path]:
    """A workbook where a table is expected."""
    from xlsxwriter import Workbook

    with Workbook(folder / "labels.xlsx") as book:
        sheet = book.add_worksheet()
        for number, line in enumerate(CSV.splitlines()[:3]):
            sheet.write_row(number, 0, line.split(","))
    return [folder / "labels.xlsx"]


def read_workbook(folder: Path) -> object:
    """The workbook as a source, and under a table's name; whole, it is refused with what to do."""
    from trapline.errors import TraplineError
    from trapline.formats import read

    for path in (folder / "labels.xlsx", (folder / "labels.xlsx").rename(folder / "labels.csv")):
        try:
            read(path)
        except TraplineError as error:
            str(error)
        (folder / "labels.xlsx").touch()
    return None


def answers(name: str, format: str = "auto") -> Callable[[Path], object]:
    """A call that reads a tool's answers for the media of the usual table."""

    def call(folder: Path) -> object:
        from trapline.formats import read, read_answers

        with tempfile.TemporaryDirectory() as temporary:
            catalog = read(put(Path(temporary) / "labels.csv", CSV), format="csv")
            return read_answers(folder / name, catalog, format=format)

    return call


def seed_drivendata(folder: Path) -> list[Path]:
    """Conser-vision's files."""
    rows = "".join(f"ZJ{n},train_features/ZJ{n}.jpg,S{n}\n" for n in range(3))
    labels = "".join(f"ZJ{n},{n % 2},{1 - n % 2}\n" for n in range(3))
    return [
        put(folder / "train_features.csv", f"id,filepath,site\n{rows}"),
        put(folder / "train_labels.csv", f"id,blank,fox\n{labels}"),
        put(folder / "test_features.csv", "id,filepath,site\nZJ9,test_features/ZJ9.jpg,S9\n"),
    ]


def seed_hakuna(folder: Path) -> list[Path]:
    """Hakuna Ma-data's files."""
    rows = "".join(f"SER_S1#B04#1#{n},S1/B04/{n}.JPG,2010-07-0{n + 1} 10:00:00\n" for n in range(3))
    labels = "".join(f"SER_S1#B04#1#{n},{n % 2},{1 - n % 2}\n" for n in range(3))
    return [
        put(folder / "train_metadata.csv", f"seq_id,file_name,datetime\n{rows}"),
        put(folder / "train_labels.csv", f"seq_id,empty,zebra\n{labels}"),
    ]


def seed_images(folder: Path) -> list[Path]:
    """One small picture in each format, with EXIF where it has any."""
    from PIL import Image

    picture = Image.linear_gradient("L").resize((48, 32)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112], exif[0x0132], exif[0x010F] = 6, "2024:01:01 10:00:00", "Cam"
    exif.get_ifd(0x8769)[0x9003] = "2024:01:01 10:00:00"
    paths = []
    options: dict[str, dict[str, Any]] = {
        "jpg": {"exif": exif}, "png": {"exif": exif}, "tif": {"exif": exif}, "gif": {}, "bmp": {},
        "webp": {"exif": exif}, "jp2": {},
    }  # fmt: skip
    for suffix, more in options.items():
        file = io.BytesIO()
        picture.save(
            file, {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(suffix, suffix.upper()), **more
        )
        paths.append(put(folder / f"picture.{suffix}", file.getvalue()))
    return paths


def read_images(folder: Path) -> None:
    """Pixels and EXIF of every picture."""
    from trapline.errors import TraplineError
    from trapline.images import Preprocessing, prepare, read_exif

    for path in sorted(folder.iterdir()):
        for work in (lambda path: prepare(path, Preprocessing(height=16, width=16)), read_exif):
            try:
                work(path)
            except TraplineError as error:
                str(error)


def seed_folders(folder: Path) -> list[Path]:
    """A tree of class folders."""
    return [put(folder / name / "1.jpg", b"x") for name in ("fox", "blank", "hare")]


def read_folders(folder: Path) -> object:
    """The tree with a file or folder of an odd name more (from the mutated content of a file)."""
    from trapline.formats import read

    for path in sorted(folder.rglob("*.jpg")):
        name = path.read_bytes()[:60].replace(b"/", b"").replace(b"\0", b"").replace(b"..", b"")
        if name.strip(b". "):
            odd = Path(sys.getfilesystemencoding() and name.decode(errors="surrogateescape"))
            put(folder / "fox" / odd.with_name(odd.name + ".jpg"), b"x")
            put(folder / odd / "2.jpg", b"x")
    return read(folder, format="class_folders")


def seed_journal(folder: Path) -> list[Path]:
    """A journal of two batches."""
    import numpy as np

    from trapline.prediction.journal import Journal, JournalEntry

    with Journal(folder / "journal", {"labels": ["a", "b"]}) as journal:
        for batch in range(2):
            entries = [JournalEntry(f"{batch}{n}", None, f"{n}.jpg", 1, 2, "", "ok", None) for n in range(3)]
            journal.append(entries, np.zeros((3, 2), np.float32))
    return [folder / "journal"]


def read_journal(folder: Path) -> None:
    """Open it, look all up and read all."""
    from trapline.prediction.journal import Journal

    with Journal(folder / "journal", {"labels": ["a", "b"]}) as journal:
        journal.index()
        list(journal.batches())


def seed_catalog(folder: Path) -> list[Path]:
    """A saved catalog."""
    from trapline.catalog import Catalog

    rows = [
        {"media_id": str(n), "file_path": f"{n}.jpg", "labels": ["fox"], "split": "train"} for n in range(3)
    ]
    return [Catalog.from_rows(rows, folder, "fuzz").save(folder / "catalog.parquet")]


def seed_predictions(folder: Path) -> list[Path]:
    """Predictions as CSV and as Parquet."""
    import polars as pl

    from trapline.prediction import Predictions
    from trapline.prediction.table import FIXED

    rows = [
        ("m1", None, None, "1.jpg", "ok", None, 0.3, 0.7),
        ("m2", None, None, "2.jpg", "failed", "odd", None, None),
    ]
    table = pl.DataFrame(rows, schema=FIXED | {"a": pl.Float32(), "b": pl.Float32()}, orient="row")
    predictions = Predictions(table, ("a", "b"), "media", "f" * 64, "single-label")
    predictions.save(folder / "p.csv")
    return [folder / "p.csv", folder / "p.csv.json", predictions.save(folder / "p.parquet")]


def read_predictions(folder: Path) -> None:
    """Both."""
    from trapline.errors import TraplineError
    from trapline.prediction import Predictions

    for name in ("p.csv", "p.parquet"):
        try:
            Predictions.load(folder / name).probabilities()
        except TraplineError as error:
            str(error)


def seed_model(folder: Path) -> list[Path]:
    """A small model file, and its card apart: the card is what is mutated most."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from trapline.images import Preprocessing
    from trapline.models import Card

    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["embedding"], keepdims=0),
        helper.make_node("MatMul", ["embedding", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    outputs = {"probabilities": 2, "logits": 2, "embedding": 3}
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
            for name, size in outputs.items()
        ],
        [
            numpy_helper.from_array(np.array([1, 2]), "axes"),
            numpy_helper.from_array(np.ones((3, 2), np.float32), "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "bare.onnx")
    card = Card(name="m", task="single-label", labels=("a", "b"), embedding_size=3,
                preprocessing=Preprocessing(height=8, width=8))  # fmt: skip
    return [put(folder / "card.json", card.model_dump_json())]


def read_model(folder: Path) -> None:
    """The model file with the mutated card."""
    import onnx
    from onnx import helper

    from trapline.models import ModelFile

    model = onnx.load(folder / "bare.onnx")
    text = (folder / "card.json").read_text(encoding="utf-8", errors="replace")
    helper.set_model_props(model, {"trapline_card": text})
    onnx.save(model, folder / "model.onnx")
    ModelFile(folder / "model.onnx", threads=1)


def seed_onnx(folder: Path) -> list[Path]:
    """A whole model file."""
    seed_model(folder)
    read_model(folder)
    return [folder / "model.onnx"]


def read_onnx(folder: Path) -> None:
    """The file as it is."""
    from trapline.models import ModelFile
    from trapline.models.onnx_graph import read_graph

    read_graph(folder / "model.onnx")
    ModelFile(folder / "model.onnx", threads=1)


def source(name: str, **options: Any) -> Callable[[Path], object]:
    """A call of `read` on the file (or "" for the folder)."""

    def call(folder: Path) -> object:
        from trapline.formats import read

        return read(folder / name if name else folder, **options)

    return call


def read_boxes(folder: Path) -> object:
    """Boxes joined onto a catalog."""
    from trapline.formats import join_boxes, read

    return join_boxes(read(put(folder / "labels.csv", CSV), format="csv"), folder / "boxes.json")


def read_taxa(folder: Path) -> object:
    """A taxonomy."""
    from trapline.taxonomy import read_taxonomy

    return read_taxonomy(folder / "taxonomy.csv")


def read_places(folder: Path) -> object:
    """Deployments, as writers take them."""
    from trapline.formats.deployments import read_deployments
    from trapline.formats.zones import parse_zone

    return read_deployments(folder / "deployments.csv", parse_zone("Europe/Zurich"))


def read_catalog(folder: Path) -> object:
    """A saved catalog."""
    from trapline.catalog import Catalog

    return Catalog.load(folder / "catalog.parquet")


def one(name: str, content: Any) -> Callable[[Path], list[Path]]:
    """A seed of one file."""
    if isinstance(content, str):
        return lambda folder: [put(folder / name, content)]
    return lambda folder: [as_json(folder / name, content)]


TARGETS: dict[str, Target] = {
    "csv": Target(one("labels.csv", CSV), source("labels.csv", format="csv")),
    "auto": Target(one("labels.csv", CSV), source("labels.csv")),
    "drivendata": Target(seed_drivendata, source("", format="drivendata")),
    "hakuna_ma_data": Target(seed_hakuna, source("", format="hakuna_ma_data")),
    "coco_camera_traps": Target(one("coco.json", COCO), source("coco.json", format="coco_camera_traps")),
    "camtrap_dp": Target(seed_package, source("", format="camtrap_dp")),
    "camtrap_dp zip": Target(seed_zip, source("package.zip", format="camtrap_dp")),
    "camtrap_dp in parts": Target(seed_parts, source("")),
    "camtrap_dp gzip": Target(seed_gzip, source("")),
    "camtrap_dp, then zipped": Target(seed_package, read_zipped("camtrap_dp")),
    "timelapse": Target(one("timelapse.csv", TIMELAPSE), source("timelapse.csv", format="timelapse")),
    "wildlife_insights": Target(several(WILDLIFE_INSIGHTS), source("")),
    "wildlife_insights in parts": Target(seed_wildlife_insights_parts, source("")),
    "wildlife_insights, then zipped": Target(several(WILDLIFE_INSIGHTS), read_zipped("wildlife_insights")),
    "addaxai": Target(one("results_detections.csv", ADDAXAI), source("results_detections.csv")),
    "addaxai 7": Target(several(ADDAXAI_7), source("files.csv")),
    "addaxai, all": Target(
        one("results_detections.csv", ADDAXAI),
        source("results_detections.csv", format="addaxai", classified_by="all"),
    ),
    "records": Target(one("recordTable.csv", RECORDS), source("recordTable.csv")),
    "speciesnet": Target(one("speciesnet.json", SPECIESNET), source("speciesnet.json", format="speciesnet")),
    "coco of annotation tools": Target(one("coco.json", LABEL_STUDIO), source("coco.json")),
    "times of tables": Target(one("labels.csv", TIMES), source("labels.csv", format="csv")),
    "a workbook": Target(seed_workbook, read_workbook),
    "megadetector by itself": Target(one("boxes.json", BOXES), source("boxes.json")),
    "answers of megadetector": Target(one("a.json", CLASSIFIED), answers("a.json")),
    "answers of speciesnet 4": Target(one("a.json", SPECIESNET), answers("a.json")),
    "answers of speciesnet 5": Target(one("a.json", BY_DETECTION), answers("a.json")),
    "answers of pytorch_wildlife": Target(one("a.json", PYTORCH_WILDLIFE), answers("a.json")),
    "answers of zamba": Target(one("a.csv", ZAMBA), answers("a.csv")),
    "answers, the surest": Target(one("a.csv", SURE), answers("a.csv")),
    "answers of wildlife_insights": Target(one("images.csv", MACHINE), answers("images.csv")),
    "keywords": Target(
        seed_keywords, source("", format="photo_folder", keywords=("Species",)), needs="exiftool"
    ),
    "megadetector": Target(one("boxes.json", BOXES), read_boxes),
    "class_folders": Target(seed_folders, read_folders),
    "images and EXIF": Target(seed_images, read_images),
    "journal": Target(seed_journal, read_journal),
    "model card": Target(seed_model, read_model),
    "model file": Target(seed_onnx, read_onnx),
    "catalog": Target(seed_catalog, read_catalog),
    "predictions": Target(seed_predictions, read_predictions),
    "taxonomy": Target(one("taxonomy.csv", TAXA), read_taxa),
    "deployments": Target(one("deployments.csv", DEPLOYMENTS), read_places),
}


def case(target: Target, seed: int, seeds: dict[Path, bytes], folder: Path) -> str:
    """Run one case: `ok` or `refused`; anything else is raised."""
    from trapline.errors import TraplineError

    draw = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in seeds.items():
        put(folder / path, content)
    paths = sorted(path for path in seeds if path.name != "bare.onnx")
    for path in draw.sample(paths, min(len(paths), draw.choice((1, 1, 2)))):
        put(folder / path, mutate(seeds[path], path.name, draw))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.read(folder)
        except TraplineError as error:
            str(error).encode(errors="replace")
            return "refused"
    return "ok"


def seeds_of(target: Target, folder: Path) -> dict[Path, bytes]:
    """The whole files, which must be read without complaint."""
    folder.mkdir(parents=True)
    target.seed(folder)
    seeds = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    target.read(folder)
    return seeds


def work(name: str, first: int, seconds: float, pipe: Any) -> None:
    """Cases of one target until the time is over; each is told before it begins and after it ended."""
    faulthandler.enable()
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = Path(temporary) / "case"
        seeds = seeds_of(target, Path(temporary) / "seed")
        stop, seed = time.monotonic() + seconds, first
        while time.monotonic() < stop:
            pipe.send((seed, "begin", ""))
            try:
                pipe.send((seed, case(target, seed, seeds, folder), ""))
            except BaseException as error:  # noqa: BLE001 - polars' panics are no Exception
                pipe.send((seed, "failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
            seed += 1
    pipe.send((seed, "done", ""))


def fuzz(name: str, seed: int, seconds: float) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Cases of one target in a process of its own, begun again when one takes the process with it."""
    counts, failures, first = {"ok": 0, "refused": 0}, [], seed
    stop = time.monotonic() + seconds
    context = multiprocessing.get_context("fork")
    while time.monotonic() < stop:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(name, seed, stop - time.monotonic(), there))
        process.start()
        there.close()
        last = "begin"
        try:
            while last != "done":
                if not here.poll(SECONDS + 20 * (last == "begin" and seed == first)):
                    raise EOFError
                seed, last, said = here.recv()
                if last in counts:
                    counts[last] += 1
                elif last == "failed":
                    failures.append((seed, said))
        except EOFError:
            alive = process.is_alive()
            process.kill()
            process.join()
            why = f"no answer in {SECONDS:g} s" if alive else f"the process ended with {process.exitcode}"
            failures.append((seed, why))
        process.join()
        seed += 1
    return counts, failures


def main() -> None:
    """Fuzz every target for its share of the time and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    names = options.target or [name for name, target in TARGETS.items() if target.runs()]
    if options.only is not None:
        with tempfile.TemporaryDirectory() as temporary:
            seeds = seeds_of(TARGETS[names[0]], Path(temporary) / "seed")
            print(case(TARGETS[names[0]], options.only, seeds, Path(temporary) / "case"))
        return
    import trapline.formats
    import trapline.models
    import trapline.prediction  # noqa: F401 - once, before the processes are forked

    print("| reader | cases | read | refused with a reason | failures |\n| --- | --- | --- | --- | --- |")
    total, bad = 0, 0
    for name in names:
        counts, failures = fuzz(name, options.seed, options.minutes * 60 / len(names))
        cases = sum(counts.values()) + len(failures)
        total, bad = total + cases, bad + len(failures)
        print(f"| {name} | {cases} | {counts['ok']} | {counts['refused']} | {len(failures)} |", flush=True)
        shown: set[str] = set()
        for seed, why in failures:
            key = why.strip().splitlines()[-1][:150]
            place = [line for line in why.splitlines() if "/trapline/" in line][-1:]
            where = "".join(place) or key
            if where not in shown:
                shown.add(where)
                print(f"    --target '{name}' --only {seed}: {key} {place}", file=sys.stderr, flush=True)
    print(f"| all | {total} | | | {bad} |")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
