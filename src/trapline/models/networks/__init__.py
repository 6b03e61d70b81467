"""The networks that PyTorch trains; importing this package imports PyTorch."""

from trapline.models.networks.build import build_network
from trapline.models.networks.export import OPSET, export_module, network_graph
from trapline.models.networks.network import Network, build_head, unit_images
from trapline.models.networks.small_cnn import SmallCnn
from trapline.models.networks.timm_networks import timm_backbone
from trapline.models.networks.yolox import yolox_graph

__all__ = [
    "OPSET",
    "Network",
    "SmallCnn",
    "build_head",
    "build_network",
    "export_module",
    "network_graph",
    "timm_backbone",
    "unit_images",
    "yolox_graph",
]
