from .records import RECORDS as RECORDS
from .records import Records as Records
from .stations import Station as Station
from .stations import Stations as Stations
