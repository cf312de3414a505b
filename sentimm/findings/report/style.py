"""The one style sheet of the page and of its charts: light and dark, on screen and on paper.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people of all kinds of colour vision can tell
apart; the negative one is hatched too, for a printer without colours.
"""

from __future__ import annotations

import base64
import hashlib

LIGHT_STYLE = """
.negative{fill:#D55E00;stroke:#D55E00}.neutral{fill:#C9CDD2;stroke:#6B7280}.positive{fill:#0072B2;stroke:#0072B2}
.other-0{fill:#009E73;stroke:#009E73}.other-1{fill:#CC79A7;stroke:#CC79A7}.other-2{fill:#F0E442;stroke:#6B7280}
.bar{stroke-width:1}.band{opacity:.28;stroke:none}.line{fill:none!important;stroke-width:2}.whisker{stroke:#111;stroke-width:1.5;fill:none}
.counted{stroke:#111;stroke-width:1.5;stroke-dasharray:2 2}.grid{stroke:#ddd;stroke-width:1}
svg text{fill:#111;font:12px system-ui,sans-serif;stroke:none}svg .small{font-size:10.5px}svg .strong{font-weight:600}
.hatch{stroke:#fff;stroke-width:1.5;opacity:.55}.dot{stroke:#111;stroke-width:.8}
"""

CHART_STYLE = (
    LIGHT_STYLE
    + """
@media (prefers-color-scheme:dark){
.negative{fill:#E69F00;stroke:#E69F00}.neutral{fill:#9AA0A6;stroke:#C9CDD2}.positive{fill:#56B4E9;stroke:#56B4E9}
svg text{fill:#eee}.whisker,.counted,.dot{stroke:#eee}.grid{stroke:#444}.hatch{stroke:#111}}
"""
)

PAGE_STYLE = (
    CHART_STYLE
    + """
:root{color-scheme:light dark}
body{margin:0 auto;max-width:46rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif;background:#fff;color:#111}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
svg{width:100%;max-width:36rem;height:auto;display:block}
.lead{font-size:1.15rem}.banner{border:2px solid #D55E00;padding:.5rem .75rem;margin:1rem 0}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem;margin:.5rem 0}
th,td{padding:.2rem .5rem;text-align:right;white-space:nowrap}
th,td{border-bottom:1px solid #ddd;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}td.text{text-align:left}caption{text-align:left;color:#555}
.posts{list-style:none;padding:0;margin:0}
.posts li{border:1px solid #ddd;padding:.6rem .75rem;margin:.5rem 0;display:flex;gap:.75rem;flex-wrap:wrap}
.posts img{max-width:150px;max-height:150px;filter:blur(14px)}
.posts div{flex:1 1 14rem;min-width:0;overflow-wrap:anywhere}.meta{color:#555;font-size:.875rem}
#show-pictures:checked~main .posts img{filter:none}
#show-pictures{margin-right:.4rem}code{overflow-wrap:anywhere}td.text{white-space:normal}
@media (max-width:30rem){body{padding:.75rem}table{font-size:.8rem}th,td{padding:.2rem .3rem}}
@media (prefers-color-scheme:dark){body{background:#16181c;color:#eee}th,td,.posts li{border-color:#444}
.meta,caption{color:#bbb}}
@media print{body{max-width:none;font-size:10pt;background:#fff;color:#000}h2{break-after:avoid}
svg,.posts li,table{break-inside:avoid}#show-pictures,label[for=show-pictures]{display:none}}
"""
)


def hash_style(style: str) -> str:
    """Return what a Content-Security-Policy names a style sheet by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
