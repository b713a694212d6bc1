"""The second part of boto3's life with a control plane: targets."""

import json
import os
import urllib.request

import boto3
import life
from boto3_gateways import Gateways
from life import ACCOUNT, ROLE, gone, mcp_server, refused, same_members, settled
from python_host import need

TOOL = {"name": "sg_echo", "description": "Gives back what it got", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}


class Targets(Gateways):
    """Gives the gateway targets: from a server, and with schemas of their own."""

    def check_create_target_and_poll_to_ready(self):
        arguments = {
            "name": "ferry",
            "description": "The reference server",
            "targetConfiguration": mcp_server(self.server, resourcePriority=7),
            "metadataConfiguration": {
                "allowedRequestHeaders": ["x-tenant"],
                "allowedQueryParameters": ["lang"],
                "allowedResponseHeaders": ["x-trace"],
            },
        }
        again = life.token()
        made = self.control.create_gateway_target(gatewayIdentifier=self.arn, clientToken=again, **arguments)
        need(made["status"] == "CREATING" and made["gatewayArn"] == self.arn, made)
        self.target = made["targetId"]
        found = settled(self.control.get_gateway_target, gatewayIdentifier=self.id, targetId=self.target)
        same_members(arguments, found)
        self.synchronised = found["lastSynchronizedAt"]
        repeated = self.control.create_gateway_target(gatewayIdentifier=self.id, clientToken=again, **arguments)
        need(repeated["targetId"] == self.target, repeated)
        with refused(self.errors.ValidationException) as met:
            self.control.create_gateway_target(gatewayIdentifier=self.id, clientToken=again, **{**arguments, "name": "quay"})
        need(met.value.response["reason"] == "IdempotentParameterMismatchException", met.value.response)
        with refused(self.errors.ConflictException, "ferry"):
            self.control.create_gateway_target(gatewayIdentifier=self.id, **arguments)

    def check_target_without_a_name(self):
        made = self.control.create_gateway_target(gatewayIdentifier=self.id, targetConfiguration=mcp_server(self.server))
        settled(self.control.get_gateway_target, gatewayIdentifier=self.id, targetId=made["targetId"])
        need(made["name"], made)
        self.unnamed = made["targetId"]

    def check_static_schema_inline(self):
        self.static = self.schema_target("static", {"inlinePayload": f"[{json.dumps(TOOL)}]"})

    def check_static_schema_from_s3(self):
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="schemas")
        s3.put_object(Bucket="schemas", Key="ferry/tools.json", Body=json.dumps({"tools": [TOOL]}).encode())
        self.stored = self.schema_target("stored", {"s3": {"uri": "s3://schemas/ferry/tools.json", "bucketOwnerAccountId": ACCOUNT}})

    def check_schema_was_fetched_as_the_role_of_the_gateway(self):
        with urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/data.json") as answer:
            assumed = json.load(answer)["sts"]["AssumedRole"]
        found = [(role["role_arn"], role["session_name"]) for role in assumed]
        need(found == [(ROLE, f"sessiongate-{self.id}")], found)

    def check_role_that_is_not_listed_is_refused(self):
        elsewhere = ROLE.replace(ACCOUNT, "999999999999")
        with refused(self.errors.ValidationException, "roleArn", "aws.roles") as met:
            self.control.update_gateway(gatewayIdentifier=self.id, **{**self.members, "roleArn": elsewhere})
        need([field["name"] for field in met.value.response["fieldList"]] == ["roleArn"], met.value.response)
        need(self.control.get_gateway(gatewayIdentifier=self.id)["roleArn"] == ROLE, "it has the role")

    def check_schema_that_cannot_be_had_fails_and_says_why(self):
        boto3.client("s3").put_object(Bucket="schemas", Key="broken.json", Body=b"{")
        for key, why in (("nowhere.json", "could not be fetched"), ("broken.json", "is no JSON")):
            configuration = mcp_server(self.server, mcpToolSchema={"s3": {"uri": f"s3://schemas/{key}"}})
            self.failed_target(configuration, why)

    def failed_target(self, configuration, why):
        made = self.control.create_gateway_target(gatewayIdentifier=self.id, name="failing", targetConfiguration=configuration)
        which = {"gatewayIdentifier": self.id, "targetId": made["targetId"]}
        found = settled(self.control.get_gateway_target, "FAILED", **which)
        need(why in " ".join(found["statusReasons"]), found)
        self.control.delete_gateway_target(**which)
        gone(self.control.get_gateway_target, self.errors.ResourceNotFoundException, **which)

    def schema_target(self, name, schema):
        made = self.control.create_gateway_target(
            gatewayIdentifier=self.id, name=name, targetConfiguration=mcp_server(self.server, mcpToolSchema=schema)
        )
        settled(self.control.get_gateway_target, gatewayIdentifier=self.id, targetId=made["targetId"])
        with refused(self.errors.ValidationException, "mcpToolSchema"):
            self.control.synchronize_gateway_targets(gatewayIdentifier=self.id, targetIdList=[made["targetId"]])
        return made["targetId"]

    def check_unreachable_target_fails_and_says_why(self):
        self.failed_target(mcp_server("http://127.0.0.1:9/mcp"), "could not be reached")

    def check_target_paginator(self):
        pages = list(self.control.get_paginator("list_gateway_targets").paginate(gatewayIdentifier=self.id, PaginationConfig={"PageSize": 1}))
        found = {item["targetId"]: item for page in pages for item in page["items"]}
        need(all(len(page["items"]) == 1 for page in pages), pages)
        need(set(found) == {self.target, self.unnamed, self.static, self.stored}, found)
        need({item["targetType"] for item in found.values()} == {"MCP_SERVER"}, found)
        need(found[self.target]["resourcePriority"] == 7 and found[self.target]["listingMode"] == "DEFAULT", found)

    def check_later_kinds_are_refused_clearly(self):
        before = self.names()
        for kind, configuration in life.LATER_KINDS.items():
            for credentials in ({}, {"credentialProviderConfigurations": [{"credentialProviderType": "GATEWAY_IAM_ROLE"}]}):
                with refused(self.errors.ValidationException, kind, "not offered yet"):
                    self.control.create_gateway_target(gatewayIdentifier=self.id, name="later", targetConfiguration=configuration, **credentials)
        need(self.names() == before, "a refused target is listed")

    def names(self):
        return sorted(item["name"] for item in self.control.list_gateway_targets(gatewayIdentifier=self.id)["items"])

    def check_update_target(self):
        arguments = {"name": "boat", "targetConfiguration": mcp_server(self.server, listingMode="DEFAULT")}
        answer = self.control.update_gateway_target(gatewayIdentifier=self.id, targetId=self.target, **arguments)
        need(answer["status"] == "UPDATING", answer)
        found = settled(self.control.get_gateway_target, gatewayIdentifier=self.id, targetId=self.target)
        same_members(arguments, found)
        need("description" not in found and "metadataConfiguration" not in found, found)
