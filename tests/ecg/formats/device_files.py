"""Files of ECG devices as their formats are specified, written from known numbers.

Each function takes int16 counts (leads, samples), lead names, a rate in Hz and microvolts per count, and writes one
file. They are written from the formats' descriptions, not from the reader that they test.
"""

import base64
import binascii
import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.leads import STANDARD_LEADS

Counts = NDArray[np.int16]


def _base64(values: NDArray) -> str:
    return base64.b64encode(values.astype("<i2").tobytes()).decode()


def ge_muse_xml(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """GE MUSE XML (restecg.dtd): base64 of int16 for each lead, with a CRC-32."""
    data = "".join(
        f"<LeadData><LeadByteCountTotal>{2 * len(row)}</LeadByteCountTotal><LeadTimeOffset>0</LeadTimeOffset>"
        f"<LeadSampleCountTotal>{len(row)}</LeadSampleCountTotal>"
        f"<LeadAmplitudeUnitsPerBit>{microvolts}</LeadAmplitudeUnitsPerBit>"
        f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID>"
        f"<LeadDataCRC32>{binascii.crc32(row.astype('<i2').tobytes())}</LeadDataCRC32>"
        f"<WaveFormData>{_base64(row)}</WaveFormData></LeadData>"
        for row, lead in zip(counts, leads, strict=True)
    )
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<RestingECG><PatientDemographics><PatientAge>74</PatientAge>'
        "<AgeUnits>YEARS</AgeUnits><Gender>FEMALE</Gender></PatientDemographics>"
        "<Waveform><WaveformType>Rhythm</WaveformType>"
        f"<SampleType>CONTINUOUS_SAMPLES</SampleType><SampleBase>{rate}</SampleBase><SampleExponent>0</SampleExponent>"
        f"{data}</Waveform></RestingECG>"
    )


def hl7_aecg(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """HL7 annotated ECG: one sequence of time, one of digits for each lead."""
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>'
        f'<value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="{microvolts}" unit="uV"/>'
        f"<digits>{' '.join(map(str, row))}</digits></value></sequence></component>"
        for row, lead in zip(counts, leads, strict=True)
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><component><series><code code="RHYTHM"/>'
        "<component><sequenceSet><component><sequence>"
        '<code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/><value xsi:type="GLIST_TS">'
        f'<head value="20200101120000"/><increment value="{1 / rate}" unit="s"/></value></sequence></component>'
        f"{sequences}</sequenceSet></component></series></component></AnnotatedECG>"
    )


def sierra_xml(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """Philips Sierra XML, uncompressed: all leads one after the other."""
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo><documenttype>SierraECG</documenttype>'
        "<documentversion>1.03</documentversion></documentinfo><dataacquisition><signalcharacteristics>"
        f"<samplingrate>{rate}</samplingrate><resolution>{microvolts}</resolution><signaloffset>0</signaloffset>"
        f"<signalsigned>TRUE</signalsigned><numberchannelsallocated>{len(leads)}</numberchannelsallocated>"
        f"<numberchannelsvalid>{len(leads)}</numberchannelsvalid></signalcharacteristics></dataacquisition>"
        f'<waveforms><parsedwaveforms durationperchannel="{counts.shape[1] * 1000 // rate}" dataencoding="Base64" '
        f'samplespersecond="{rate}" resolution="{microvolts}" signalsigned="TRUE" signaloffset="0" '
        f'numberofleads="{len(leads)}" leadlabels="{" ".join(leads)}">{_base64(counts)}</parsedwaveforms></waveforms>'
        "</restingecgdata>"
    )


def mortara_xml(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """Mortara ELI XML: base64 of int16 in an attribute of each channel."""
    channels = "".join(
        f'<CHANNEL NAME="{lead}" UNITS_PER_MV="{1000 / microvolts:g}" SAMPLE_FREQ="{rate}" DURATION="{len(row)}" '
        f'BITS="16" FORMAT="SIGNED" ENCODING="BASE64" OFFSET="0" DATA="{_base64(row)}"/>'
        for row, lead in zip(counts, leads, strict=True)
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<ECG ACQUISITION_TIME="20200101120000">'
        f'<SOURCE TYPE="STD_12" MANUFACTURER="Mortara Instrument, Inc." MODEL="ELI280"/>{channels}</ECG>'
    )


def _scp_section(number: int, body: bytes) -> bytes:
    body += b"\0" * (len(body) % 2)
    head = struct.pack("<HIBB6s", number, 16 + len(body), 20, 20, b"SCPECG" if number == 0 else b"\0" * 6)
    return struct.pack("<H", binascii.crc_hqx(head + body, 0xFFFF)) + head + body


_SCP_LEADS = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8} | {
    "III": 61,
    "aVR": 62,
    "aVL": 63,
    "aVF": 64,
}


def scp_ecg(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """SCP-ECG 2.0 without compression; sections 0, 1, 3 and 6."""
    n = counts.shape[1]
    first = struct.pack("<BH2s", 2, 2, b"1\0") + struct.pack("<BH", 255, 0)
    third = struct.pack("<BB", len(leads), (len(leads) << 3) | 4)
    third += b"".join(struct.pack("<IIB", 1, n, _SCP_LEADS[lead]) for lead in leads)
    sixth = struct.pack("<HHBB", round(microvolts * 1000), 1_000_000 // rate, 0, 0)
    sixth += struct.pack(f"<{len(leads)}H", *[2 * n] * len(leads)) + counts.astype("<i2").tobytes()
    sections = {1: _scp_section(1, first), 3: _scp_section(3, third), 6: _scp_section(6, sixth)}
    start = 6 + 16 + 10 * 12
    pointers = b""
    at = start
    for number in range(12):
        length = len(sections.get(number, b"")) if number else start - 6
        index = 7 if number == 0 else at + 1 if length else 0
        pointers += struct.pack("<HII", number, length, index)
        at += length if number else 0
    record = _scp_section(0, pointers) + b"".join(sections.values())
    record = struct.pack("<I", 6 + len(record)) + record
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(record, 0xFFFF)) + record)


def dicom(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """DICOM 12-lead ECG waveform storage, sensitivity in microvolts."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid

    channels = []
    for lead in leads:
        source = Dataset()
        source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = f"2:{lead}", "MDC", f"Lead {lead}"
        unit = Dataset()
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
        channel = Dataset()
        channel.ChannelSourceSequence = Sequence([source])
        channel.ChannelSensitivity = microvolts
        channel.ChannelSensitivityUnitsSequence = Sequence([unit])
        channel.ChannelSensitivityCorrectionFactor = 1
        channel.ChannelBaseline = 0
        channel.WaveformBitsStored = 16
        channels.append(channel)
    group = Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(leads)
    group.NumberOfWaveformSamples = counts.shape[1]
    group.SamplingFrequency = rate
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.ChannelDefinitionSequence = Sequence(channels)
    group.WaveformData = counts.T.astype("<i2").tobytes()
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = TwelveLeadECGWaveformStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
    file.Modality = "ECG"
    file.WaveformSequence = Sequence([group])
    file.save_as(path, enforce_file_format=True)


_ISHNE_LEADS = {lead: 5 + place for place, lead in enumerate(STANDARD_LEADS)}


def ishne(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """ISHNE Holter 1.0: a fixed header of 512 bytes after the magic number and the checksum, then frames."""
    blank = [-9] * (12 - len(leads))
    header = struct.pack("<iiii", 0, counts.shape[1], 522, 522) + struct.pack("<h", 1)
    header += b"\0" * 40 + b"\0" * 40 + b"\0" * 20 + struct.pack("<hh", 2, 0)
    header += struct.pack("<9h", 1, 1, 1950, 1, 1, 2020, 1, 1, 2020) + struct.pack("<3h", 12, 0, 0)
    header += struct.pack("<h", len(leads)) + struct.pack("<12h", *[_ISHNE_LEADS[lead] for lead in leads], *blank)
    header += struct.pack("<12h", *[1] * len(leads), *blank)
    header += struct.pack("<12h", *[round(microvolts * 1000)] * len(leads), *blank)
    header += struct.pack("<h", 0) + b"digital".ljust(40, b"\0") + struct.pack("<h", rate)
    header = header.ljust(512, b"\0")
    checksum = struct.pack("<H", binascii.crc_hqx(header, 0xFFFF))
    path.write_bytes(b"ISHNE1.0" + checksum + header + counts.T.astype("<i2").tobytes())


_MFER_LEADS = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8} | {
    "III": 61,
    "aVR": 62,
    "aVL": 63,
    "aVF": 64,
}


def mfer(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """MFER (ISO 22077-1), little-endian, one frame."""

    def tag(number: int, value: bytes) -> bytes:
        if len(value) < 0x80:
            return bytes([number, len(value)]) + value
        return bytes([number, 0x84]) + struct.pack(">I", len(value)) + value

    content = tag(0x40, b"MFR ECG12     ") + tag(0x01, b"\x01")
    content += tag(0x0B, bytes([0, 0]) + struct.pack("<H", rate))  # sampling frequency in Hz
    content += tag(0x0C, bytes([0, 256 - 9]) + struct.pack("<H", round(microvolts * 1000)))  # nV per count
    content += tag(0x05, bytes([len(leads)])) + tag(0x04, struct.pack("<I", counts.shape[1])) + tag(0x06, b"\x01")
    content += tag(0x0A, b"\x00")  # int16
    for place, lead in enumerate(leads):
        name = tag(0x09, bytes([_MFER_LEADS[lead]]))
        content += bytes([0x3F, place, len(name)]) + name
    path.write_bytes(content + tag(0x1E, counts.astype("<i2").tobytes()) + b"\x80\x00")


def kardia_json(path: Path, counts: Counts, leads: list[str], rate: int, microvolts: float) -> None:
    """AliveCor Kardia's recording as its API gives it; amplitude in nV."""
    keys = [lead.upper() if lead.startswith("a") else f"lead{lead}" for lead in leads]
    names = {key: row.tolist() for key, row in zip(keys, counts, strict=True)}
    raw = {"frequency": rate, "amplitudeResolution": microvolts * 1000, "numLeads": len(leads), "samples": names}
    content = {"id": "a", "recordedAt": "2020-01-01T12:00:00Z", "duration": 1, "data": {"raw": raw}}
    path.write_text(json.dumps(content))
