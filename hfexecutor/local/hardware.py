"""The flavors that jobs can ask for, with what they are and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Flavor:
    """One kind of machine; `hourly` is its price in US dollars."""

    name: str
    title: str
    cpus: int
    ram_gb: int
    disk_gb: int
    hourly: float
    model: str = ""
    count: int = 0
    vram_gb: int = 0
    maker: str = "Nvidia"
    kind: str = "gpu"

    @property
    def micro_usd_per_minute(self) -> int:
        """The price of a minute, in millionths of a US dollar."""
        return round(self.hourly * 1e6 / 60)

    def to_json(self) -> dict[str, Any]:
        """Return the flavor as an item of `GET /api/jobs/hardware`."""
        return {
            "name": self.name,
            "prettyName": self.title,
            "cpu": f"{self.cpus} vCPU",
            "ram": f"{self.ram_gb} GB",
            "ephemeralStorage": f"{self.disk_gb} GB",
            "accelerator": self._accelerator(),
            "unitCostMicroUSD": self.micro_usd_per_minute,
            "unitCostUSD": round(self.micro_usd_per_minute / 1e6, 6),
            "unitLabel": "minute",
        }

    def _accelerator(self) -> dict[str, str] | None:
        if not self.count:
            return None
        return {
            "type": self.kind,
            "model": self.model,
            "quantity": str(self.count),
            "vram": f"{self.vram_gb} GB",
            "manufacturer": self.maker,
        }

    def environment(self) -> dict[str, str]:
        """Return what a job finds in its environment about its machine."""
        return {
            "CPU_CORES": str(self.cpus),
            "MEMORY": f"{self.ram_gb}Gi",
            "ACCELERATOR": self.name if self.count else "none",
        }


# From cpu-basic at $0.01 to h200x8 at $40 per hour: these two are documented. What lies between
# follows the pricing page as it was known when this was written: for dry runs, not for invoices.
FLAVORS = {
    flavor.name: flavor
    for flavor in (
        Flavor("cpu-basic", "CPU Basic", 2, 16, 50, 0.01),
        Flavor("cpu-upgrade", "CPU Upgrade", 8, 32, 50, 0.03),
        Flavor("cpu-performance", "CPU Performance", 32, 256, 1024, 1.90),
        Flavor("cpu-xl", "CPU XL", 16, 124, 1000, 1.00),
        Flavor("sprx8", "Intel Sapphire Rapids x8", 32, 256, 500, 1.70),
        Flavor("zero-a10g", "ZeroGPU", 8, 32, 50, 0.0, "A10G", 1, 24),
        Flavor("t4-small", "Nvidia T4 - small", 4, 15, 50, 0.40, "T4", 1, 16),
        Flavor("t4-medium", "Nvidia T4 - medium", 8, 30, 100, 0.60, "T4", 1, 16),
        Flavor("l4x1", "1x Nvidia L4", 8, 30, 400, 0.80, "L4", 1, 24),
        Flavor("l4x4", "4x Nvidia L4", 48, 186, 3200, 3.80, "L4", 4, 96),
        Flavor("l40sx1", "1x Nvidia L40S", 8, 62, 380, 1.80, "L40S", 1, 48),
        Flavor("l40sx4", "4x Nvidia L40S", 48, 382, 3200, 8.30, "L40S", 4, 192),
        Flavor("l40sx8", "8x Nvidia L40S", 192, 1534, 6500, 23.50, "L40S", 8, 384),
        Flavor("a10g-small", "Nvidia A10G - small", 4, 15, 110, 1.00, "A10G", 1, 24),
        Flavor("a10g-large", "Nvidia A10G - large", 12, 46, 200, 1.50, "A10G", 1, 24),
        Flavor("a10g-largex2", "2x Nvidia A10G - large", 24, 92, 1000, 3.00, "A10G", 2, 48),
        Flavor("a10g-largex4", "4x Nvidia A10G - large", 48, 184, 2000, 5.00, "A10G", 4, 96),
        Flavor("a100-large", "Nvidia A100 - large", 12, 142, 1000, 2.50, "A100", 1, 80),
        Flavor("a100x4", "4x Nvidia A100", 48, 568, 4000, 10.00, "A100", 4, 320),
        Flavor("a100x8", "8x Nvidia A100", 96, 1136, 8000, 20.00, "A100", 8, 640),
        Flavor("h200", "Nvidia H200", 23, 256, 3000, 5.00, "H200", 1, 141),
        Flavor("h200x2", "2x Nvidia H200", 46, 512, 6000, 10.00, "H200", 2, 282),
        Flavor("h200x4", "4x Nvidia H200", 92, 1024, 12000, 20.00, "H200", 4, 564),
        Flavor("h200x8", "8x Nvidia H200", 184, 2048, 24000, 40.00, "H200", 8, 1128),
        Flavor("rtx-pro-6000", "Nvidia RTX PRO 6000", 23, 256, 475, 2.75, "RTX PRO 6000", 1, 96),
        Flavor(
            "rtx-pro-6000x2", "2x Nvidia RTX PRO 6000", 46, 512, 950, 5.50, "RTX PRO 6000", 2, 192
        ),
        Flavor(
            "rtx-pro-6000x4",
            "4x Nvidia RTX PRO 6000",
            92,
            1024,
            1900,
            11.00,
            "RTX PRO 6000",
            4,
            384,
        ),
        Flavor(
            "rtx-pro-6000x8",
            "8x Nvidia RTX PRO 6000",
            184,
            2048,
            3800,
            22.00,
            "RTX PRO 6000",
            8,
            768,
        ),
        Flavor(
            "inf2x6",
            "6x AWS Inferentia2",
            96,
            384,
            500,
            12.00,
            "Inferentia2",
            6,
            192,
            "AWS",
            "neuron",
        ),
    )
}
