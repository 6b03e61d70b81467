"""camtrapR's sample survey, typed: three stations, one of them broken at the end, and some of its records."""

from pathlib import Path

STATIONS = """Station,utm_y,utm_x,Setup_date,Retrieval_date,Problem1_from,Problem1_to
StationA,604000,526000,02/04/2009,14/05/2009,,
StationB,606000,523000,03/04/2009,16/05/2009,,
StationC,607050,525000,04/04/2009,17/05/2009,12/05/2009,17/05/2009
"""
RECORDS = """Station,Species,DateTimeOriginal
StationA,VTA,2009-04-10 05:07:00
StationA,VTA,2009-05-06 19:06:00
StationB,VTA,2009-04-15 19:12:00
StationB,VTA,2009-04-27 05:07:00
StationC,VTA,2009-04-24 02:57:00
StationC,TRA,2009-05-12 02:32:00
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path
