"""The networks that PyTorch trains; importing this package imports PyTorch."""

from trapline.models.networks.build import build_network
from trapline.models.networks.export import network_graph
from trapline.models.networks.network import Network
from trapline.models.networks.small_cnn import SmallCnn

__all__ = ["Network", "SmallCnn", "build_network", "network_graph"]
