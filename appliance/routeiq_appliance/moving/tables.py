"""LiteLLM's tables: which are carried, how their rows are told apart, and why others stay behind.

Source: litellm/proxy/schema.prisma of LiteLLM 1.106.
"""

__all__ = [
    "BUDGETS", "CARRIED", "CREDENTIALS", "KEYS", "MODELS", "ORGANIZATIONS", "ORGANIZATION_MEMBERS", "PERMISSIONS",
    "PREFIX", "PROJECTS", "TEAMS", "TEAM_MEMBERS", "USERS", "why_not",
]  # fmt: skip

PREFIX = "LiteLLM_"
BUDGETS = "LiteLLM_BudgetTable"
CREDENTIALS = "LiteLLM_CredentialsTable"
KEYS = "LiteLLM_VerificationToken"
MODELS = "LiteLLM_ProxyModelTable"
ORGANIZATIONS = "LiteLLM_OrganizationTable"
ORGANIZATION_MEMBERS = "LiteLLM_OrganizationMembership"
PERMISSIONS = "LiteLLM_ObjectPermissionTable"
PROJECTS = "LiteLLM_ProjectTable"
TEAMS = "LiteLLM_TeamTable"
TEAM_MEMBERS = "LiteLLM_TeamMembership"
USERS = "LiteLLM_UserTable"

CARRIED = {
    BUDGETS: ("budget_id",),
    CREDENTIALS: ("credential_name",),
    KEYS: ("token",),
    MODELS: ("model_id",),
    ORGANIZATIONS: ("organization_id",),
    ORGANIZATION_MEMBERS: ("organization_id", "user_id"),
    PERMISSIONS: ("object_permission_id",),
    PROJECTS: ("project_id",),
    TEAMS: ("team_id",),
    TEAM_MEMBERS: ("team_id", "user_id"),
    USERS: ("user_id",),
}
"""Table → the columns that tell its rows apart."""

_WHY = {
    "LiteLLM_AccessGroupTable": "access groups: name the groups in the `models` of keys and teams",
    "LiteLLM_AuditLog": "the history of changes stays with LiteLLM's database",
    "LiteLLM_Config": "settings kept in the database: write them into config.yaml",
    "LiteLLM_DeprecatedVerificationToken": "secrets of rotated keys in their grace period: rotate again here",
    "LiteLLM_EndUserTable": "end users (`user` of a call) have no limits here",
    "LiteLLM_GuardrailsTable": "guardrails are not run here",
    "LiteLLM_InvitationLink": "there is no sign-in by invitation",
    "LiteLLM_JWTKeyMapping": "tokens of an identity provider are not mapped to keys",
    "LiteLLM_MCPServerTable": "MCP servers are not served here",
    "LiteLLM_ModelTable": "aliases of a team's models: use `router_settings.model_group_alias`",
    "LiteLLM_PolicyTable": "LiteLLM's policies name guardrails, which are not run here",
    "LiteLLM_SSOConfig": "there is no sign-on through LiteLLM",
    "LiteLLM_SpendLogs": "calls of the past stay with LiteLLM's database; what each key has spent is carried",
    "LiteLLM_TagTable": "tags have no budgets here",
}
_PREFIXES = {
    "LiteLLM_Daily": "reports of the past stay with LiteLLM's database",
    "LiteLLM_Deleted": "what was deleted stays so",
    "LiteLLM_MCP": "MCP servers are not served here",
    "LiteLLM_Managed": "files, batches and vector stores are not kept here",
}


def why_not(table: str) -> str:
    """Return why a table's rows are not carried."""
    known = _WHY.get(table)
    if known is not None:
        return known
    return next(
        (why for prefix, why in _PREFIXES.items() if table.startswith(prefix)), "has no counterpart here"
    )
