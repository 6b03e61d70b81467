"""Recipe C's training as published: Pillow, torchvision transforms, a DataLoader, eager ResNet50, one epoch.

The notebook's loop, word for word where it matters: no shuffle, batch 32, SGD 1e-3 with momentum 0.9, loss
read at every step. Its ImageNet weights come from a hub; without one, as here, they are random.
usage: published_conser_vision.py CLASS_TREE EPOCHS
"""

import json
import sys
import time

started = time.perf_counter()
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torchvision import datasets, models, transforms  # noqa: E402

tree, epochs = sys.argv[1], int(sys.argv[2])
torch.manual_seed(42)
transform = transforms.Compose(
    [
        transforms.Resize((224, 224)),
        transforms.ToTensor(),
        transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    ]
)
train = datasets.ImageFolder(f"{tree}/train", transform)
validation = datasets.ImageFolder(f"{tree}/validation", transform)
model = models.resnet50(weights=None)
model.fc = nn.Sequential(
    nn.Linear(2048, 100), nn.ReLU(inplace=True), nn.Dropout(0.1), nn.Linear(100, len(train.classes))
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
fitting = time.perf_counter()
losses = []
for _ in range(epochs):
    for images, labels in torch.utils.data.DataLoader(train, batch_size=32):
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        losses.append(float(loss))
        loss.backward()
        optimizer.step()
model.eval()
total = 0.0
with torch.no_grad():
    for images, labels in torch.utils.data.DataLoader(validation, batch_size=32):
        total += float(nn.functional.cross_entropy(model(images), labels, reduction="sum"))
print(
    json.dumps(
        {
            "seconds": time.perf_counter() - started,
            "fit_seconds": time.perf_counter() - fitting,
            "parameters": sum(p.numel() for p in model.parameters()),
            "train_loss": losses,
            "validation_loss": [total / len(validation)],
        }
    )
)
