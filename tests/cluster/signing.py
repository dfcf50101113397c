"""CertificateSigningRequests: what is approved, and by whom, is apart from what is signed."""

import copy

from resources import Target
from store import Refused

KIND = "CertificateSigningRequest"


def begin(handler, target, wanted):
    """What the server makes of a new one."""
    if target.kind != KIND:
        return
    wanted.pop("status", None)
    wanted["spec"]["username"] = handler.user["user"]
    if wanted["spec"].get("expirationSeconds", 600) < 600:
        why = "may not specify a duration less than 600 seconds"
        raise Refused(422, "Invalid", f"spec.expirationSeconds: Invalid value: {why}")


def changed(handler, target, live, wanted):
    """A subresource changes its own part and nothing else, and the object not that part."""
    if target.kind != KIND:
        return wanted
    done, status, before = copy.deepcopy(live), wanted.get("status", {}), live.get("status", {})
    done["metadata"]["resourceVersion"] = wanted["metadata"].get("resourceVersion")
    if target.part == "status":
        authorize(handler, "sign", live)
        if before.get("certificate") and status.get("certificate") != before["certificate"]:
            raise Refused(422, "Invalid", "status.certificate: Forbidden: it is set already")
        if approval(status) != approval(before):
            raise Refused(422, "Invalid", "status.conditions: Forbidden: updates may not add or remove approval")
        done["status"] = status
    elif target.part == "approval":
        authorize(handler, "approve", live)
        done["status"] = {**before, "conditions": status.get("conditions") or []}
    return done


def approval(status):
    return {one["type"] for one in status.get("conditions") or []} & {"Approved", "Denied"}


def authorize(handler, verb, request):
    name = request["spec"]["signerName"]
    handler.authorize(verb, Target("certificates.k8s.io", "v1", "Signer", "signers", False, None, name))
