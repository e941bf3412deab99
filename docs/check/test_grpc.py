"""A client in Python made from proto/ asks each of the four services directly."""

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2 as details
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from launch import ADMIN

from product import SERVICES, Product

# A read of each service.
READS = {
    "identity": ("identity.v1.settings_service", "SettingsService", "GetSettings"),
    "opportunities": ("opportunities.v1.pipeline_service", "PipelineService", "ListPipelines"),
    "analytics": ("analytics.v1.forecast_service", "ForecastService", "GetForecast"),
    "notifier": ("notifier.v1.notification_service", "NotificationService", "ListNotifications"),
}


@pytest.fixture(scope="module")
def channels(product: Product) -> Any:
    opened = {service: grpc.insecure_channel(product.places[service]) for service in SERVICES}
    yield opened
    for channel in opened.values():
        channel.close()


@pytest.fixture(scope="module")
def me(product: Product, contract: SimpleNamespace, channels: dict[str, grpc.Channel]) -> list[tuple[str, str]]:
    tokens = contract.load("identity.v1.token_service")
    ask = tokens.IssueTokenRequest(username=ADMIN, password=product.password)
    token = tokens.TokenServiceStub(channels["identity"]).IssueToken(ask, timeout=10).token
    return [("authorization", f"Bearer {token.access_token}")]


@pytest.fixture
def opportunities(contract: SimpleNamespace, channels: dict[str, grpc.Channel]) -> SimpleNamespace:
    api = contract.load("opportunities.v1.opportunity_service")
    return SimpleNamespace(**vars(api), stub=api.OpportunityServiceStub(channels["opportunities"]))


def read(contract: SimpleNamespace, channel: grpc.Channel, service: str, **options: Any) -> Any:
    module, name, method = READS[service]
    api = contract.load(module)
    return getattr(getattr(api, f"{name}Stub")(channel), method)(getattr(api, f"{method}Request")(), **options)


def reason(error: grpc.RpcError) -> str:
    info = of_kind(error, details.ErrorInfo)
    assert info.domain == "salespipeline"
    return info.reason


def of_kind(error: grpc.RpcError, kind: Any) -> Any:
    status = rpc_status.from_call(error)
    assert status is not None, error
    found = [kind.FromString(it.value) for it in status.details if it.Is(kind.DESCRIPTOR)]
    assert found, f"no {kind.DESCRIPTOR.name}: {status}"
    return found[0]


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_asked_directly(
    service: str, contract: SimpleNamespace, channels: dict[str, grpc.Channel], me: Any
) -> None:
    answer = read(contract, channels[service], service, metadata=me, timeout=5)
    assert answer.DESCRIPTOR.name == f"{READS[service][2]}Response"


@pytest.mark.parametrize("service", SERVICES)
def test_who_has_no_token_is_told_so(service: str, contract: SimpleNamespace, channels: Any, product: Product) -> None:
    for metadata, expected in (
        ([], "TOKEN_MISSING"),
        ([("authorization", "Bearer a.b.c")], "TOKEN_INVALID"),
        ([("authorization", "Bearer spm_live_1_key")], "TOKEN_INVALID"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            read(contract, channels[service], service, metadata=metadata, timeout=5)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert reason(refused.value) == expected


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_tells_its_health(service: str, channels: dict[str, grpc.Channel]) -> None:
    health = health_pb2_grpc.HealthStub(channels[service])
    module, name, _ = READS[service]
    package = module.rpartition(".")[0]
    for asked in ("", f"salespipeline.{package}.{name}"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=asked), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as unknown:
        health.Check(health_pb2.HealthCheckRequest(service="salespipeline.nothing"), timeout=5)
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_tells_its_contract_by_reflection(service: str, channels: dict[str, grpc.Channel]) -> None:
    told = ProtoReflectionDescriptorDatabase(channels[service])
    module, name, method = READS[service]
    package = module.rpartition(".")[0]
    assert f"salespipeline.{package}.{name}" in told.get_services()
    file = told.FindFileContainingSymbol(f"salespipeline.{package}.{name}")
    methods = [it.name for part in file.service if part.name == name for it in part.method]
    assert method in methods


@pytest.mark.parametrize("service", SERVICES)
def test_a_compressed_message_is_refused(
    service: str, contract: SimpleNamespace, channels: dict[str, grpc.Channel], me: Any
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        options = {"metadata": [*me, ("x-pad", "1")], "timeout": 5, "compression": grpc.Compression.Gzip}
        read(contract, channels[service], service, **options)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_is_kept_by_the_service(product: Product, me: Any) -> None:
    # By hand, since a library gives up by itself: 1 ns for a method, and 5 bytes of an empty message.
    headers = {"content-type": "application/grpc-web+proto", "grpc-timeout": "1n", **dict(me)}
    url = f"http://{product.places['analytics']}/salespipeline.analytics.v1.ForecastService/GetForecast"
    begun = time.monotonic()
    answer = httpx.post(url, headers=headers, content=bytes(5))
    assert answer.headers["grpc-status"] == "4"
    assert time.monotonic() - begun < 5


def test_a_stream_ends_with_its_deadline(contract: SimpleNamespace, channels: Any, me: Any) -> None:
    sync = contract.load("opportunities.v1.sync_service")
    stub = sync.SyncServiceStub(channels["opportunities"])
    begun = time.monotonic()
    with pytest.raises(grpc.RpcError) as ended:
        for _ in stub.StreamSyncItems(sync.StreamSyncItemsRequest(limit=200), metadata=me, timeout=2):
            pass
    assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 1.5 < time.monotonic() - begun < 6


def some(opportunities: SimpleNamespace, me: Any, **fields: Any) -> Any:
    new = opportunities.CreateOpportunityRequest(
        customer_name="A customer", **{"opportunity_name": "Something", "notes": "A first talk", **fields}
    )
    return opportunities.stub.CreateOpportunity(new, metadata=me, timeout=5).opportunity


def test_a_mask_says_what_is_changed(opportunities: SimpleNamespace, me: Any) -> None:
    made = some(opportunities, me, source="Fair")
    ask = opportunities.UpdateOpportunityRequest
    change = ask(id=made.id, update_mask=FieldMask(paths=["notes"]), source="Not named")
    changed = opportunities.stub.UpdateOpportunity(change, metadata=me, timeout=5).opportunity
    assert not changed.HasField("notes")
    assert changed.source == "Fair"
    unmasked = opportunities.stub.UpdateOpportunity(ask(id=made.id, source="Phone"), metadata=me, timeout=5).opportunity
    assert unmasked.source == "Phone"
    with pytest.raises(grpc.RpcError) as refused:
        change = ask(id=made.id, update_mask=FieldMask(paths=["version", "id"]))
        opportunities.stub.UpdateOpportunity(change, metadata=me, timeout=5)
    bad = of_kind(refused.value, details.BadRequest)
    assert [(it.field, it.reason) for it in bad.field_violations] == [
        ("version", "UNKNOWN_FIELD"),
        ("id", "UNKNOWN_FIELD"),
    ]


def test_every_bad_field_is_in_the_details(opportunities: SimpleNamespace, contract: SimpleNamespace, me: Any) -> None:
    scalar = contract.load("type.v1.scalar")
    with pytest.raises(grpc.RpcError) as refused:
        some(opportunities, me, opportunity_name=" ", amount=scalar.Decimal(units=-1), probability=101)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(refused.value) == "INVALID"
    bad = of_kind(refused.value, details.BadRequest)
    assert sorted((it.field, it.reason) for it in bad.field_violations) == [
        ("amount", "OUT_OF_RANGE"),
        ("opportunity_name", "REQUIRED"),
        ("probability", "OUT_OF_RANGE"),
    ]
    assert all(it.description for it in bad.field_violations)


def test_the_other_errors_say_what_is_in_the_way(opportunities: SimpleNamespace, me: Any) -> None:
    external_id = f"docs-{uuid.uuid4()}"
    made = some(opportunities, me, external_id=external_id)
    with pytest.raises(grpc.RpcError) as taken:
        some(opportunities, me, external_id=external_id)
    assert taken.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert reason(taken.value) == "EXTERNAL_ID_TAKEN"
    assert dict(of_kind(taken.value, details.ErrorInfo).metadata) == {"opportunity_id": str(made.id)}

    change = opportunities.UpdateOpportunityRequest(id=made.id, expected_version=99, source="Fair")
    with pytest.raises(grpc.RpcError) as stale:
        opportunities.stub.UpdateOpportunity(change, metadata=me, timeout=5)
    assert stale.value.code() == grpc.StatusCode.ABORTED
    assert reason(stale.value) == "STALE"
    assert of_kind(stale.value, details.ErrorInfo).metadata["current_version"] == str(made.version)

    with pytest.raises(grpc.RpcError) as absent:
        ask = opportunities.GetOpportunityRequest(id=999_999_999)
        opportunities.stub.GetOpportunity(ask, metadata=me, timeout=5)
    assert absent.value.code() == grpc.StatusCode.NOT_FOUND
    assert of_kind(absent.value, details.ResourceInfo).resource_name == "999999999"


def test_a_key_makes_a_call_safe_to_repeat(opportunities: SimpleNamespace, me: Any) -> None:
    once = [*me, ("idempotency-key", str(uuid.uuid4()))]
    first, again = some(opportunities, once), some(opportunities, once)
    assert first == again
    with pytest.raises(grpc.RpcError) as reused:
        some(opportunities, once, source="Another")
    assert reused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert of_kind(reused.value, details.BadRequest).field_violations[0].reason == "IDEMPOTENCY_KEY_REUSED"


def test_a_file_goes_in_and_comes_out_in_pieces(contract: SimpleNamespace, channels: Any, me: Any) -> None:
    imports = contract.load("opportunities.v1.import_service")
    stub = imports.ImportServiceStub(channels["opportunities"])
    name = f"Brought in {uuid.uuid4()}"
    file = f"opportunity_name,customer_name,amount\n{name},XYZ,1250.50\n".encode()

    def pieces() -> Any:
        for at in range(0, len(file), 16):
            yield imports.CreateImportRequest(data=file[at : at + 16])
        yield imports.CreateImportRequest(options=imports.ImportOptions())

    begun = stub.CreateImport(pieces(), metadata=me, timeout=15)
    told = [getattr(it, "import") for it in stub.WatchImport(imports.WatchImportRequest(id=begun.id), metadata=me)]
    assert told[-1].status == imports.IMPORT_STATUS_DONE
    assert told[-1].created == 1

    exports = contract.load("opportunities.v1.export_service")
    ask = exports.ExportOpportunitiesRequest(q=name, format=exports.EXPORT_FORMAT_CSV)
    stream = exports.ExportServiceStub(channels["opportunities"]).ExportOpportunities(ask, metadata=me, timeout=15)
    lines = b"".join(piece.data for piece in stream).decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert name in lines[1]
    assert "1250.5" in lines[1]


def test_a_copy_is_kept_by_a_stream(
    contract: SimpleNamespace, channels: Any, me: Any, opportunities: SimpleNamespace
) -> None:
    sync = contract.load("opportunities.v1.sync_service")
    stub = sync.SyncServiceStub(channels["opportunities"])
    stream = stub.StreamSyncItems(sync.StreamSyncItemsRequest(limit=200), metadata=me, timeout=30)
    seen = 0
    for message in stream:
        seen += len(message.items)
        if not message.has_more:
            break
    assert seen > 100
    made = some(opportunities, me)
    found = next(item for message in stream for item in message.items if item.opportunity.id == made.id)
    assert (found.version, found.deleted) == (made.version, False)
    stream.cancel()


def test_a_message_has_a_bound(
    contract: SimpleNamespace, channels: Any, opportunities: SimpleNamespace, me: Any
) -> None:
    pipelines = contract.load("opportunities.v1.pipeline_service")
    stub = pipelines.PipelineServiceStub(channels["opportunities"])
    with pytest.raises(grpc.RpcError) as refused:
        stub.CreatePipeline(pipelines.CreatePipelineRequest(name="x" * (5 << 20)), metadata=me, timeout=5)
    assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE
    # Read, and then found to be too long.
    with pytest.raises(grpc.RpcError) as read:
        some(opportunities, me, notes="x" * (5 << 20))
    assert read.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_request_has_an_id(contract: SimpleNamespace, channels: Any, me: Any) -> None:
    module = contract.load("identity.v1.settings_service")
    method = module.SettingsServiceStub(channels["identity"]).GetSettings
    _, call = method.with_call(module.GetSettingsRequest(), metadata=me, timeout=5)
    assert len(dict(call.initial_metadata())["x-request-id"]) == 36
