"""All that is particular to ECGFounder: its network, its published files, and the small ones that this project ships.

Sources: https://huggingface.co/PKUDigitalHealth/ECGFounder (MIT) for the files, whose pickled dictionaries hold
``state_dict`` beside the training state; Li et al. 2024, https://arxiv.org/abs/2410.04133, for the pretraining.
"""

from dataclasses import replace

from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.model.ecgfounder import NET1D
from ecgfounder_ft.model.pretrained import PretrainedNetwork, WeightsFile

_PUBLISHED = WeightsFile(
    "12_lead_ECGFounder",
    STANDARD_LEADS,
    architecture="full",
    trained_on="the Harvard-Emory ECG database",
    sha256="ee199f3781f4ae1f732973267f003da0a759ea12bddb0dd28a77faa60aca7997",
    repository="PKUDigitalHealth/ECGFounder",
    licence="mit",
)
_SHIPPED = WeightsFile(
    "demo_12_lead", STANDARD_LEADS, architecture="demo", trained_on="simulated recordings only", labels="six_conditions"
)

ECGFOUNDER = PretrainedNetwork(
    name="ECGFounder",
    network=NET1D,
    leads_argument="in_channels",
    outputs_argument="num_classes",
    outputs=150,
    labels="ecgfounder_150",
    preprocessing="ecgfounder",
    citation="Li et al. 2024, An Electrocardiogram Foundation Model Built on over 10 Million Recordings "
    "(https://arxiv.org/abs/2410.04133)",
    files=(
        _PUBLISHED,
        replace(_PUBLISHED, name="1_lead_ECGFounder", leads=("I",), sha256=None, any_lead=True),
        _SHIPPED,
        replace(_SHIPPED, name="demo_1_lead", leads=("I",), any_lead=True),
        replace(_SHIPPED, name="demo_limb_leads", leads=STANDARD_LEADS[:6]),
        replace(_SHIPPED, name="demo_any_lead", leads=("I",), any_lead=True),
    ),
)
"""ECGFounder. The digest of its one-lead file is not known."""
