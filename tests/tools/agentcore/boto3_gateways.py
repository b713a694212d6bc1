"""The first part of boto3's life with a control plane: who may ask, and gateways."""

import os

import boto3
import botocore.exceptions
import cognito
import life
from life import ACCOUNT, NO_GATEWAY, REGION, ROLE, code_of, mcp_server, protocol, refused, same_members, settled
from python_host import need

OPEN = {"roleArn": ROLE, "authorizerType": "NONE", "protocolType": "MCP"}


def control(key=None, secret=None):
    return boto3.client("bedrock-agentcore-control", aws_access_key_id=key, aws_secret_access_key=secret)


class Gateways(life.Life):
    """Makes the gateway that the other parts go on with, and some others."""

    def __init__(self, server):
        self.server = server
        self.control = control()
        self.errors = self.control.exceptions

    # === who may ask ===

    def check_wrong_secret_refused(self):
        wrong = control(os.environ["AWS_ACCESS_KEY_ID"], "not-the-secret-of-this-key")
        with refused(botocore.exceptions.ClientError) as met:
            wrong.create_gateway(name="never", **OPEN)
        need(code_of(met.value) == ("InvalidSignatureException", 403), code_of(met.value))
        with refused(botocore.exceptions.ClientError) as met:
            control("AKIDNOBODYNOBODY", "x").list_gateways()
        need(code_of(met.value) == ("UnrecognizedClientException", 403), code_of(met.value))
        need(self.control.list_gateways()["items"] == [], "a refused request made something")

    def check_key_without_permission_refused(self):
        reader = control(os.environ["READER_KEY"], os.environ["READER_SECRET"])
        reader.list_gateways()
        with refused(reader.exceptions.AccessDeniedException, "bedrock-agentcore:CreateGateway") as met:
            reader.create_gateway(name="never", **OPEN)
        need(code_of(met.value)[1] == 403, code_of(met.value))

    # === gateways ===

    def check_create_gateway_with_cognito(self):
        self.pool = cognito.pool()
        cognito.user(self.pool)
        self.client_id, self.client_secret = cognito.client(self.pool)
        self.members = {
            "name": "Boto3-Life",
            "description": "Made by boto3",
            "roleArn": ROLE,
            "protocolType": "MCP",
            "protocolConfiguration": protocol(
                instructions="Ask for the ferry.", supportedVersions=["2025-06-18", "2025-11-25"], searchType="SEMANTIC"
            ),
            "authorizerType": "CUSTOM_JWT",
            "authorizerConfiguration": {
                "customJWTAuthorizer": {"discoveryUrl": cognito.discovery(self.pool, REGION), "allowedClients": [self.client_id]}
            },
            "exceptionLevel": "DEBUG",
        }
        self.token = life.token()
        made = self.control.create_gateway(clientToken=self.token, tags={"team": "ferry"}, **self.members)
        need(made["ResponseMetadata"]["HTTPStatusCode"] == 202 and made["status"] == "CREATING", made)
        self.id, self.arn = made["gatewayId"], made["gatewayArn"]
        need(self.arn == f"arn:aws:bedrock-agentcore:{REGION}:{ACCOUNT}:gateway/{self.id}", self.arn)
        need(self.id.startswith("boto3-life-"), self.id)

    def check_poll_gateway_to_ready(self):
        found = settled(self.control.get_gateway, gatewayIdentifier=self.id)
        same_members(self.members, found)
        self.url = found["gatewayUrl"]
        need(found["updatedAt"] >= found["createdAt"], found)
        need(found["workloadIdentityDetails"]["workloadIdentityArn"].startswith("arn:aws:bedrock-agentcore:"), found)
        return self.url

    def check_client_token_makes_one_gateway(self):
        again = self.control.create_gateway(clientToken=self.token, tags={"team": "ferry"}, **self.members)
        need(again["gatewayId"] == self.id, again)
        with refused(self.errors.ValidationException) as met:
            self.control.create_gateway(clientToken=self.token, **{**self.members, "description": "Another"})
        need(met.value.response["reason"] == "IdempotentParameterMismatchException", met.value.response)

    def check_typed_conflict(self):
        with refused(self.errors.ConflictException, "Boto3-Life") as met:
            self.control.create_gateway(**self.members)
        need(code_of(met.value)[1] == 409, code_of(met.value))

    def check_typed_not_found(self):
        nowhere = {"gatewayIdentifier": NO_GATEWAY}
        target = {**nowhere, "targetId": "0123456789"}
        for call, arguments in (
            (self.control.get_gateway, nowhere),
            (self.control.delete_gateway, nowhere),
            (self.control.update_gateway, {**nowhere, "name": "x", **OPEN}),
            (self.control.list_gateway_targets, nowhere),
            (self.control.create_gateway_target, {**nowhere, "targetConfiguration": mcp_server(self.server)}),
            (self.control.get_gateway_target, target),
            (self.control.delete_gateway_target, {**target, "gatewayIdentifier": self.id}),
            (self.control.synchronize_gateway_targets, {"gatewayIdentifier": self.id, "targetIdList": ["0123456789"]}),
            (self.control.list_tags_for_resource, {"resourceArn": self.arn.replace(self.id, NO_GATEWAY)}),
            (self.control.get_resource_policy, {"resourceArn": self.arn.replace(self.id, NO_GATEWAY)}),
        ):
            with refused(self.errors.ResourceNotFoundException) as met:
                call(**arguments)
            need(code_of(met.value)[1] == 404, code_of(met.value))

    def check_typed_validation(self):
        wrong = {"authorizerType": "WHATEVER", "name": "no blanks", "roleArn": "nobody", "exceptionLevel": "ALL"}
        for member, value in {**wrong, "kmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"}.items():
            with refused(self.errors.ValidationException, member) as met:
                self.control.create_gateway(**{"name": "never", **OPEN, member: value})
            need(code_of(met.value)[1] == 400 and met.value.response["reason"] == "FieldValidationFailed", met.value.response)
            need(member in [field["name"] for field in met.value.response["fieldList"]], met.value.response["fieldList"])
        with refused(self.errors.ValidationException, "not offered"):
            self.control.create_policy_engine(name="later")

    def check_arn_as_identifier(self):
        need(self.control.get_gateway(gatewayIdentifier=self.arn)["gatewayId"] == self.id, "another gateway")
        need(self.control.list_gateway_targets(gatewayIdentifier=self.arn)["items"] == [], "targets of another gateway")
        with refused(self.errors.ResourceNotFoundException):
            self.control.get_gateway(gatewayIdentifier=self.arn.replace(ACCOUNT, "999999999999"))

    def check_quota_and_gateway_paginator(self):
        """The quota of this run is 8."""
        self.others = [self.control.create_gateway(name=f"page-{n}", **OPEN)["gatewayId"] for n in range(7)]
        with refused(self.errors.ServiceQuotaExceededException, "gateways") as met:
            self.control.create_gateway(name="one-too-many", **OPEN)
        need(code_of(met.value)[1] == 402, code_of(met.value))
        pages = list(self.control.get_paginator("list_gateways").paginate(PaginationConfig={"PageSize": 3}))
        found = [item["gatewayId"] for page in pages for item in page["items"]]
        need([len(page["items"]) for page in pages] == [3, 3, 2], pages)
        need(sorted(found) == sorted([self.id, *self.others]), found)
        first = self.control.get_paginator("list_gateways").paginate(PaginationConfig={"MaxItems": 5}).build_full_result()
        need(len(first["items"]) == 5 and first["NextToken"], first)

    def check_tags(self):
        self.control.tag_resource(resourceArn=self.arn, tags={"stage": "test", "team": "quay"})
        tags = self.control.list_tags_for_resource(resourceArn=self.arn)["tags"]
        need(tags == {"team": "quay", "stage": "test"}, tags)
        self.control.untag_resource(resourceArn=self.arn, tagKeys=["stage"])
        tags = self.control.list_tags_for_resource(resourceArn=self.arn)["tags"]
        need(tags == {"team": "quay"}, tags)

    def check_update_gateway_is_a_full_replace(self):
        members = {name: value for name, value in self.members.items() if name not in ("description", "exceptionLevel")}
        answer = self.control.update_gateway(gatewayIdentifier=self.id, **members)
        need(answer["status"] == "UPDATING", answer)
        found = settled(self.control.get_gateway, gatewayIdentifier=self.id)
        same_members(members, found)
        need("description" not in found and "exceptionLevel" not in found, found)
        need(found["gatewayUrl"] == self.url and found["updatedAt"] > found["createdAt"], found)
        with refused(self.errors.ValidationException, "name"):
            self.control.update_gateway(gatewayIdentifier=self.id, **{**members, "name": "Renamed"})
        self.control.update_gateway(gatewayIdentifier=self.arn, **self.members)
        same_members(self.members, settled(self.control.get_gateway, gatewayIdentifier=self.id))
