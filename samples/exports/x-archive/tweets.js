window.YTD.tweets.part0 = [
  {
    "tweet": {
      "edit_info": {
        "initial": {
          "editTweetIds": [
            "1590000000000000001"
          ],
          "editableUntil": "2022-11-08T10:00:00.000Z",
          "editsRemaining": "5",
          "isEditEligible": true
        }
      },
      "retweeted": false,
      "source": "<a href=\"https://mobile.twitter.com\" rel=\"nofollow\">Twitter Web App</a>",
      "entities": {
        "hashtags": [],
        "symbols": [],
        "user_mentions": [],
        "urls": []
      },
      "display_text_range": [
        "0",
        "47"
      ],
      "favorite_count": "3",
      "id_str": "1590000000000000001",
      "truncated": false,
      "retweet_count": "0",
      "id": "1590000000000000001",
      "created_at": "Tue Nov 08 09:30:00 +0000 2022",
      "favorited": false,
      "full_text": "Sunday market, best strawberries of the year! \ud83c\udf53",
      "lang": "en",
      "extended_entities": {
        "media": [
          {
            "media_url_https": "https://pbs.twimg.com/media/Fg10aXYZ.jpg",
            "type": "photo"
          },
          {
            "media_url_https": "https://pbs.twimg.com/media/Fg11aXYZ.jpg",
            "type": "photo"
          }
        ]
      }
    }
  },
  {
    "tweet": {
      "edit_info": {
        "initial": {
          "editTweetIds": [
            "1590000000000000002"
          ],
          "editableUntil": "2022-11-08T10:00:00.000Z",
          "editsRemaining": "5",
          "isEditEligible": true
        }
      },
      "retweeted": false,
      "source": "<a href=\"https://mobile.twitter.com\" rel=\"nofollow\">Twitter Web App</a>",
      "entities": {
        "hashtags": [],
        "symbols": [],
        "user_mentions": [],
        "urls": []
      },
      "display_text_range": [
        "0",
        "51"
      ],
      "favorite_count": "3",
      "id_str": "1590000000000000002",
      "truncated": false,
      "retweet_count": "0",
      "id": "1590000000000000002",
      "created_at": "Tue Nov 08 09:30:00 +0000 2022",
      "favorited": false,
      "full_text": "Train cancelled again. Third time this week. Awful.",
      "lang": "en"
    }
  },
  {
    "tweet": {
      "edit_info": {
        "initial": {
          "editTweetIds": [
            "1590000000000000003"
          ],
          "editableUntil": "2022-11-08T10:00:00.000Z",
          "editsRemaining": "5",
          "isEditEligible": true
        }
      },
      "retweeted": false,
      "source": "<a href=\"https://mobile.twitter.com\" rel=\"nofollow\">Twitter Web App</a>",
      "entities": {
        "hashtags": [],
        "symbols": [],
        "user_mentions": [],
        "urls": []
      },
      "display_text_range": [
        "0",
        "32"
      ],
      "favorite_count": "3",
      "id_str": "1590000000000000003",
      "truncated": false,
      "retweet_count": "0",
      "id": "1590000000000000003",
      "created_at": "Tue Nov 08 09:30:00 +0000 2022",
      "favorited": false,
      "full_text": "The library closes at six today.",
      "lang": "en",
      "extended_entities": {
        "media": [
          {
            "media_url_https": "https://pbs.twimg.com/media/Fg30aXYZ.jpg",
            "type": "photo"
          }
        ]
      }
    }
  }
]
